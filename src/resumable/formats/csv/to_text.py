"""Arrow's values as the text that stands for them in a file, before quoting: see encoder.py for what they look like."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from resumable.arrow_types import plain

__all__ = ["all_bytes", "as_text", "has_text", "plain_type"]


def as_text(values: pa.Array) -> pa.StringArray:
    """The values as text, before quoting."""
    kind = values.type
    if pa.types.is_floating(kind):
        return _float_text(values)
    if pa.types.is_binary(kind):
        return _hex_text(values)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        text = pc.cast(pc.cast(values, pa.timestamp(kind.unit, "UTC")), pa.string())
        return pc.replace_substring(_without_zeros(text, kind.unit), "Z", "+00:00")
    text = pc.cast(values, pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return _without_zeros(text, kind.unit)
    if pa.types.is_decimal(kind) and not 0 <= kind.scale <= 6:  # others never get an exponent
        far = pc.match_substring(text, "E")
        if pc.any(far).as_py():
            plain = [format(Decimal(t), "f") for t in pc.filter(text, far).to_pylist()]
            return pc.replace_with_mask(text, far, pa.array(plain, pa.string()))
    return text


def _float_text(values: pa.Array) -> pa.StringArray:
    text = pc.cast(values, pa.string())
    whole = pc.and_(pc.equal(values, pc.trunc(values)), pc.is_finite(values))
    if pc.any(whole).as_py():
        if b"e" in all_bytes(text):
            whole = pc.and_(whole, pc.invert(pc.match_substring(text, "e")))
        text = pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)
    return text


def _without_zeros(text: pa.StringArray, unit: str) -> pa.StringArray:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    return pc.replace_substring(text, "." + "0" * digits, "") if digits else text


def _hex_text(values: pa.BinaryArray) -> pa.StringArray:
    # Twice as long as the bytes, so are the offsets: no loop over values.
    starts = _offsets(values)
    starts = pc.multiply(pc.subtract(starts, starts[0]), pa.scalar(2, pa.int32()))
    data = pa.py_buffer(all_bytes(values).hex().encode())
    text = pa.StringArray.from_buffers(len(values), starts.buffers()[1], data)
    text = pc.binary_join_element_wise("\\x", text, "")
    return pc.if_else(pc.is_valid(values), text, pa.scalar(None, pa.string()))


def _offsets(values: pa.Array) -> pa.Int32Array:
    buffer = values.buffers()[1]
    return pa.Array.from_buffers(pa.int32(), len(values) + 1, [None, buffer], offset=values.offset)


def all_bytes(values: pa.Array) -> bytes:
    """The bytes of all values of a string or binary array, one after the other."""
    data = values.buffers()[2]
    if data is None or not len(values):
        return b""
    offsets = memoryview(values.buffers()[1]).cast("i")
    first, last = offsets[values.offset], offsets[values.offset + len(values)]
    return bytes(memoryview(data)[first:last])


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without its manner of storage (arrow_types.py); half floats are floats, extensions of text are text."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if pa.types.is_string(kind.storage_type) else kind
    return pa.float32() if pa.types.is_float16(kind) else plain(kind)


def has_text(kind: pa.DataType) -> bool:
    """Whether values of a plain type have a text that reads back the same."""
    tests = ("null", "boolean", "integer", "floating", "decimal", "string", "binary", "date", "time", "timestamp")
    return any(getattr(pa.types, f"is_{test}")(kind) for test in tests)
