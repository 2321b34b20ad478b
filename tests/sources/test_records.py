"""Record boundaries: what `csv.reader` says is the measure, on every input."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resumable.sources.records import Dialect

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


@settings(max_examples=600, deadline=None)
@given(TEXTS, TEXTS)
@example('"a","b\n', '",x\n')
@example("a\r", "\nb")
def test_whole_records_stay_whole_whatever_follows(text: str, more: str) -> None:
    """A block cut at `whole` reads as the uncut text does."""
    block = text.encode()
    cut = Dialect().whole(block)
    head, tail = block[:cut].decode(), block[cut:].decode() + more
    assert reference(text + more) == reference(head) + reference(tail)


@settings(max_examples=600, deadline=None)
@given(TEXTS)
@example('a"b,"c"\n"d\n')
def test_parity_and_the_regular_expression_cut_at_the_same_place(text: str) -> None:
    """The fast path is taken only where it gives what the careful one gives."""
    block = text.encode()
    assert Dialect()._last_end(block) == Dialect().whole(block)


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


@pytest.mark.parametrize(
    ("block", "inside"),
    [(b'a,"b', True), (b'a,"b\n', True), (b'a,"b"', False), (b'a,b"\n', False), (b"a,b", False), (b'a,"b""', True)],
)
def test_a_quote_that_is_never_closed_is_seen(block: bytes, inside: bool) -> None:
    """Where the text after the block would still be inside quotes."""
    assert inside == Dialect().open_at_end(block)


def test_a_line_end_that_may_be_half_of_one_ends_no_record() -> None:
    r"""After `\r` at the end of a block a `\n` may follow, which belongs to it."""
    assert Dialect().whole(b"a\r\nb\r") == 3
    assert Dialect().whole(b"a\rb\r") == 2
    assert Dialect().whole(b"a\r") == 0


def test_megabytes_inside_one_quote_are_no_record() -> None:
    """However many line ends are in it; and it is found out without going through them one by one."""
    assert Dialect().whole(b'x\n"' + b"line\n" * 400_000) == 2
