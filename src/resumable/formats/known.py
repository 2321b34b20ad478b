"""Columns whose types are known before a text is seen: by `columns`, or from the table that the rows are to go into.

What is known is kept in the metadata of the column's field, and so is frozen with the schema:

* `declared`: how the table declares the column; "" where there is no such table
* `type`: what it is in Arrow
* `words`: texts that the table takes and Arrow's type doesn't, such as NaN in a numeric(10,2). A column in whose sample
  there is one goes as text, looked at by the same law.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from resumable.formats.spelling import respelled
from resumable.formats.text_values import convert, misfit, whole, wider
from resumable.formats.type_names import parse_type, readable, type_name

__all__ = ["advised", "declared", "known", "values"]


def known(name: str, asked: pa.DataType | None, target: pa.DataType | pa.Field | None, sample: pa.Array) -> pa.Field:
    """A column of the type that is `asked` for, else of the `target`'s, which tells more if it is a field."""
    field = target if isinstance(target, pa.Field) else pa.field(name, target or asked)
    told = {key.decode(): word.decode() for key, word in (field.metadata or {}).items()}
    told = {"declared": "", "words": "", **told, "type": type_name(field.type)}
    words = told["words"].split()
    kind = asked or field.type
    if asked is None and words and pc.any(pc.is_in(sample, value_set=pa.array(words))).as_py():
        kind = pa.string()
    return pa.field(name, kind, metadata=told if readable(field.type) else {**told, "type": "string"})


def declared(field: pa.Field) -> str:
    """How the table declares it; "" if no table is known."""
    return _told(field, b"declared")


def values(texts: pa.StringArray, field: pa.Field) -> tuple[pa.Array, dict[int, str]]:
    """See `values.convert`; where the type is known, other spellings of its values are taken too."""
    if not field.metadata:
        return convert(texts, field.type)
    law = field.type
    if pa.types.is_string(law) and declared(field):
        law = parse_type(_told(field, b"type"))
    found = whole(texts, law)
    if found is None:
        texts = respelled(texts, law)
        found, wrong = convert(texts, law)
    else:
        wrong = {}
    if law == field.type:
        return found, wrong
    words = _told(field, b"words").split()
    return texts, {i: why for i, why in wrong.items() if texts[i].as_py() not in words}


def advised(text: str, field: pa.Field) -> str | None:
    """The type as which the column would take the text, where one helps; none that the table would refuse."""
    if not declared(field):
        return type_name(wider(text, field.type))
    if text in _told(field, b"words").split():
        return type_name(pa.string())
    meant = parse_type(_told(field, b"type"))
    spelled = respelled(pa.array([text], pa.string()), meant)[0].as_py()
    return None if meant == field.type or misfit(spelled, meant) else type_name(meant)


def _told(field: pa.Field, key: bytes) -> str:
    told: str = (field.metadata or {}).get(key, b"").decode()
    return told
