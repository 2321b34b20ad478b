"""Record boundaries: what `csv.reader` says is the measure, on every input."""

from __future__ import annotations

import csv
import io

from hypothesis import example, given, settings
from hypothesis import strategies as st

from resumable.formats.csv.dialect import Dialect

csv.field_size_limit(2**30)
PIECES = st.lists(
    st.sampled_from(["a", "b", ",", '"', '""', "\n", "\r", "\r\n", " ", "\t", "é", ';"', "'"]), max_size=24
)
TEXTS = PIECES.map("".join)


def reference(text: str, **dialect: str) -> list[list[str]]:
    """What Python reads."""
    return list(csv.reader(io.StringIO(text, newline=""), **dialect))


def fields(block: bytes, dialect: Dialect) -> list[list[str]]:
    """What we read."""
    return [[f.decode() for f in dialect.fields(block[begin:end])] for begin, end in dialect.spans(block)]


@settings(max_examples=600, deadline=None)
@given(TEXTS)
@example('a,"b""c"\r\n')
@example('""x,"y\n')
@example('a"b,"c\nd"e"\n,f')
@example('"\r\n""a""\n')
@example("\r\r\n\n")
def test_records_and_fields_are_those_of_csv_reader(text: str) -> None:
    """Quoted line ends, doubled and stray quotes, empty lines, all line ends: always the same fields."""
    assert reference(text) == fields(text.encode(), Dialect())


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_other_delimiters_and_quotes_are_read_alike(text: str) -> None:
    """A dialect is two bytes; characters that mean something to regular expressions are ordinary ones."""
    text = text.translate(str.maketrans(',"', "|^"))
    assert reference(text, delimiter="|", quotechar="^") == fields(text.encode(), Dialect(b"|", b"^"))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_without_a_quote_only_delimiters_and_line_ends_count(text: str) -> None:
    """`quote=None` reads as csv.QUOTE_NONE does."""
    expected = list(csv.reader(io.StringIO(text, newline=""), quoting=csv.QUOTE_NONE))
    assert expected == fields(text.encode(), Dialect(quote=None))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_spans_cover_the_block_without_gap(text: str) -> None:
    """Every byte belongs to one record, so offsets can be added up."""
    block = text.encode()
    assert block == b"".join(block[begin:end] for begin, end in Dialect().spans(block))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_fields_are_counted_without_being_made(text: str) -> None:
    """`count` is the number of fields."""
    dialect, block = Dialect(), text.encode()
    spans = [block[begin:end] for begin, end in dialect.spans(block)]
    assert [len(dialect.fields(record)) for record in spans] == [dialect.count(record) for record in spans]
