"""The JSON form of checkpoints and records: nothing is lost, nothing damaged passes, and the document is right."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resumable.checkpoint import Checkpoint, ClaimId, Owner, Record, Session
from resumable.errors import CorruptCheckpoint
from resumable.sealing import FORMAT
from resumable.stores import SqlStore

DOCUMENT = Path(__file__).parents[1] / "docs" / "checkpoint-format.md"

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
text = st.text(st.characters())  # NUL and lone surrogates too
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
claims = st.builds(ClaimId, st.integers(0, 2**63 - 1), text)
schemas = st.none() | st.lists(
    st.sampled_from([pa.int64(), pa.string(), pa.decimal128(38, 9), pa.timestamp("us", "UTC"), pa.binary()]), max_size=4
).map(lambda types: pa.schema([pa.field(f"größe {n}", t, nullable=n > 0) for n, t in enumerate(types)], {"k": "v"}))
checkpoints = st.builds(
    Checkpoint,
    number=st.integers(0),
    claim=claims,
    position=json_values,
    rows=st.integers(0),
    rejected=st.integers(0),
    fraction=st.none() | st.floats(0, 1),
    sink=json_values,
    quarantine_state=json_values,
    source=st.dictionaries(text, json_values, max_size=2),
    schema=schemas,
    output_schema=schemas,
    definition=st.dictionaries(text, json_values, max_size=2),
    sessions=st.lists(st.builds(Session, floats, floats, st.integers(0)), max_size=3).map(tuple),
    complete=st.booleans(),
    outcome=st.sampled_from(["", "completed", "terminated"]),
    finished=st.booleans(),
    stopped_as=st.sampled_from(["", "paused", "failed"]),
    error=text,
)
records = st.builds(
    Record,
    version=st.integers(1),
    checkpoint=checkpoints,
    claim=claims,
    owner=st.none() | st.builds(Owner, text, text, text, st.integers(1), text, floats),
    heartbeat=st.integers(0),
    heartbeat_at=floats,
    asked=st.sampled_from(["", "pause", "terminate"]),
    asked_of=claims,
)


@untimed
@given(checkpoints)
def test_a_checkpoint_comes_back_as_it_was(checkpoint: Checkpoint) -> None:
    """Every field survives its JSON form, which is one line of ASCII."""
    line = checkpoint.to_json()
    assert Checkpoint.from_json(line, "x") == checkpoint
    assert line.isascii()
    assert "\n" not in line


@untimed
@given(records)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """Every field survives its JSON form, read from text or from bytes."""
    assert Record.from_json(record.to_json(), "x") == record
    assert Record.from_json(record.to_json().encode(), "x") == record


def test_a_schema_keeps_its_metadata_and_nulls() -> None:
    """What `==` on schemas doesn't look at survives too."""
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False, metadata={"f": "1"})], {"s": "2"})
    again = Checkpoint.from_json(Checkpoint(schema=schema).to_json(), "x").schema
    assert again is not None
    assert again.equals(schema, check_metadata=True)


@untimed
@given(records, st.data())
def test_a_changed_character_is_noticed(record: Record, data: st.DataObject) -> None:
    """Wherever one character of the text is replaced, it is refused, or says the same."""
    line = record.to_json()
    at = data.draw(st.integers(0, len(line) - 1))
    damaged = line[:at] + data.draw(st.sampled_from('x0 "}{,[\\')) + line[at + 1 :]
    with contextlib.suppress(CorruptCheckpoint):
        assert Record.from_json(damaged, "x") == record


@untimed
@given(st.binary() | st.text() | json_values.map(json.dumps))
def test_what_is_no_checkpoint_is_refused(junk: str | bytes) -> None:
    """Anything at all gives `CorruptCheckpoint`, which names the place, and no other error."""
    for kind in (Checkpoint, Record):
        with pytest.raises(CorruptCheckpoint, match="this place") as caught:
            kind.from_json(junk, "this place")
        assert caught.value.safe
        assert caught.value.do


def test_a_newer_format_is_refused_by_name() -> None:
    """The message says that an update is wanted, not that something is broken."""
    newer = Record(1).to_json().replace(f'"format":{FORMAT}', f'"format":{FORMAT + 1}')
    with pytest.raises(CorruptCheckpoint, match=r"newer version.*Update"):
        Record.from_json(newer, "x")


def test_a_sealed_field_that_is_unknown_is_refused() -> None:
    """A whole text with a field more or less isn't read as if it were known."""
    body = json.loads(Checkpoint().to_json())["body"]
    for changed in ({**body, "extra": 1}, {k: v for k, v in body.items() if k != "claim"}):
        packed = json.dumps(changed, separators=(",", ":"), sort_keys=True)
        line = f'{{"format":1,"crc32":{zlib.crc32(packed.encode())},"body":{packed}}}'
        with pytest.raises(CorruptCheckpoint):
            Checkpoint.from_json(line, "x")


def test_keys_that_are_no_text_do_not_spoil_the_seal() -> None:
    """JSON makes them text, which may sort otherwise: the checkpoint can still be read."""
    line = Checkpoint(position={2: "a", 10: "b"}).to_json()
    assert Checkpoint.from_json(line, "x").position == {"2": "a", "10": "b"}


@pytest.mark.parametrize("position", [float("nan"), float("inf"), b"x", {1}, object()])
def test_what_json_cannot_write_is_refused_at_once(position: Any) -> None:
    """It fails when it is saved, not when somebody wants to go on from it."""
    with pytest.raises((TypeError, ValueError)):
        Checkpoint(position=position).to_json()


def test_the_next_checkpoint_is_one_on() -> None:
    """`next` adds one to the number and leaves the rest."""
    first = Checkpoint(number=4, rows=7, claim=ClaimId(1, "a"))
    assert first.next(rows=9) == Checkpoint(number=5, rows=9, claim=ClaimId(1, "a"))


def test_claims_are_ordered_by_epoch_first() -> None:
    """A token only tells two claims of one epoch apart."""
    assert ClaimId(1, "z") < ClaimId(2, "a") < ClaimId(2, "b")


# ----------------------------------------------------------------------------------------- the document


def example() -> str:
    return re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[-1]


def test_the_documents_example_can_be_read() -> None:
    """Its seal is right, and it says what the text around it says."""
    record = Record.from_json(example(), "the example")
    assert record.checkpoint.number == 42
    assert record.checkpoint.schema == pa.schema([("id", pa.int64()), ("name", pa.string())])
    assert record.checkpoint.rows == sum(session.rows for session in record.checkpoint.sessions)
    assert json.loads(record.to_json()) == json.loads(example())


def test_the_document_describes_every_field() -> None:
    """Each field of record, owner and checkpoint and each column of a store's table has its row, and format 1 is the one in use."""
    document = DOCUMENT.read_text()
    described = set(re.findall(r"`([\w.]+)`", "\n".join(line for line in document.splitlines() if line[:1] == "|")))
    wanted = {field.name for kind in (Record, Checkpoint) for field in dataclasses.fields(kind)}
    wanted |= {f"owner.{field.name}" for field in dataclasses.fields(Owner)}
    wanted |= set(SqlStore("sqlite:///runs.db")._table.columns.keys())
    assert wanted - described == set()
    assert f"This is format **{FORMAT}**" in document
