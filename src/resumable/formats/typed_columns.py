"""Columns whose types are fixed before a text is seen: by `columns`, or by the table that the rows are to go into.

The type is stored in the metadata of the column's field, and so is frozen with the schema:

* `declared`: how the table declares it; "" where there is no such table
* `type`: what it is in Arrow
* `words`: texts that the table takes and Arrow's type doesn't, such as NaN in a numeric(10,2). A column in whose sample
  there is one goes as text, looked at by the same law.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from resumable.formats.spelling import respelled
from resumable.formats.text_values import convert, convert_lossless, misfit, widened_type
from resumable.formats.type_names import parse_type, readable, type_name

__all__ = ["convert_column", "declaration", "suggested_type", "typed_field"]


def typed_field(
    name: str, requested: pa.DataType | None, target: pa.DataType | pa.Field | None, sample: pa.Array
) -> pa.Field:
    """A column of the type that is `requested`, else of the `target`'s, which has metadata if it is a field."""
    field = target if isinstance(target, pa.Field) else pa.field(name, target or requested)
    metadata = {key.decode(): word.decode() for key, word in (field.metadata or {}).items()}
    metadata = {"declared": "", "words": "", **metadata, "type": type_name(field.type)}
    words = metadata["words"].split()
    kind = requested or field.type
    if requested is None and words and pc.any(pc.is_in(sample, value_set=pa.array(words))).as_py():
        kind = pa.string()
    if not readable(field.type):
        metadata["type"] = "string"
    return pa.field(name, kind, metadata=metadata)


def declaration(field: pa.Field) -> str:
    """How the table declares the column; "" if there is no table."""
    return _metadata(field, b"declared")


def convert_column(texts: pa.StringArray, field: pa.Field) -> tuple[pa.Array, dict[int, str]]:
    """See `text_values.convert`; where the type is fixed, other spellings of its values are taken too."""
    if not field.metadata:
        return convert(texts, field.type)
    law = field.type
    if pa.types.is_string(law) and declaration(field):
        law = parse_type(_metadata(field, b"type"))
    wrong: dict[int, str] = {}
    values = convert_lossless(texts, law)
    if values is None:
        texts = respelled(texts, law)
        values, wrong = convert(texts, law)
    if law == field.type:
        return values, wrong
    words = _metadata(field, b"words").split()
    return texts, {i: why for i, why in wrong.items() if texts[i].as_py() not in words}


def suggested_type(text: str, field: pa.Field) -> str | None:
    """The type as which the column would take the text, where one helps; none that the table would refuse."""
    if not declaration(field):
        return type_name(widened_type(text, field.type))
    if text in _metadata(field, b"words").split():
        return type_name(pa.string())
    declared = parse_type(_metadata(field, b"type"))
    spelled = respelled(pa.array([text], pa.string()), declared)[0].as_py()
    return None if declared == field.type or misfit(spelled, declared) else type_name(declared)


def _metadata(field: pa.Field, key: bytes) -> str:
    value: str = (field.metadata or {}).get(key, b"").decode()
    return value
