"""Arrow's types without their manner of storage: a large string, a view and a dictionary of strings are all strings."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["plain", "plain_array"]

_EXTENSIONS = {"arrow.uuid": pa.string(), "arrow.json": pa.string(), "arrow.bool8": pa.bool_()}


def plain(arrow: pa.DataType) -> pa.DataType:
    """The type without its manner of storage: large_string, string_view, dictionary... are what they hold.

    A UUID is its text, as databases write it. An extension type that isn't known here is left as it is.
    """
    t = pa.types
    if isinstance(arrow, pa.BaseExtensionType):
        return _EXTENSIONS.get(arrow.extension_name, arrow)
    if t.is_dictionary(arrow) or t.is_run_end_encoded(arrow):
        return plain(arrow.value_type)
    if t.is_large_string(arrow) or t.is_string_view(arrow):
        return pa.string()
    if t.is_large_binary(arrow) or t.is_binary_view(arrow) or t.is_fixed_size_binary(arrow):
        return pa.binary()
    if t.is_decimal32(arrow) or t.is_decimal64(arrow):
        return pa.decimal128(arrow.precision, arrow.scale)
    if t.is_list(arrow) or t.is_large_list(arrow):
        return pa.list_(arrow.value_field.with_type(plain(arrow.value_type)))
    if t.is_struct(arrow):
        return pa.struct([field.with_type(plain(field.type)) for field in arrow])
    return arrow


def plain_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The values as `kind`, which is the `plain` type of the array's, or another that Arrow casts to safely."""
    t = pa.types
    if isinstance(array, pa.ExtensionArray):
        name, array = array.type.extension_name, array.storage
        if name == "arrow.uuid":
            texts = [None if v is None else str(uuid.UUID(bytes=v)) for v in array.to_pylist()]
            array = pa.array(texts, pa.string())
        elif name == "arrow.bool8":
            array = pc.not_equal(array, 0)
    if t.is_run_end_encoded(array.type):  # Arrow can't decode every kind of values, but it can their places
        places = pa.array(range(len(array.values)), pa.int64())
        runs = pa.RunEndEncodedArray.from_arrays(array.run_ends, places).slice(array.offset, len(array))
        return plain_array(array.values, kind).take(pc.run_end_decode(runs))
    if t.is_dictionary(array.type):  # Arrow casts no dictionary of string views
        return plain_array(array.dictionary, kind).take(array.indices)
    return array if array.type == kind else array.cast(kind)
