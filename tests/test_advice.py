"""Advice is code: each that is printed over a CSV file is taken here, word by word, and what it loads is looked at."""

from __future__ import annotations

import ast
import bz2
import gzip
import lzma
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet
import pytest

import resumable
from resumable.sources import CsvSource
from shell import environment, here, rows_of, tables

SHOP = "sqlite:///shop.db"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable in environment().keys() ^ os.environ.keys():
        monkeypatch.delenv(variable)
    return tmp_path


def ways(message: str) -> list[tuple[str, str]]:
    """What a message says to say or to run, in its order: options in brackets, or commands in backticks."""
    return re.findall(r"\((--(?:'[^']*'|[^()'])*)\)|`([^`]+)`", message)


def upload(*words: str) -> str:
    """The one message of an upload that fails."""
    done = here("upload", *words)
    assert done.returncode in (1, 2), (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 900, "short enough to be read"
    assert "new" not in tables(Path("shop.db"))
    return done.stderr


PATH = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])


def shell(command: str) -> str:
    """Run it as people do, and say which file it has made: its last word."""
    subprocess.run(["bash", "-euc", command], env=environment({"PATH": PATH}), check=True, timeout=120)
    return shlex.split(command)[-1]


def take(message: str, which: int, line: list[str]) -> list[tuple[Any, ...]]:
    """Take the advice, and say what is in the table then."""
    option, command = ways(message)[which]
    line = [shell(command), SHOP, "new"] if command else [*line, *shlex.split(option), "--restart"]
    done = here("upload", *line)
    assert done.returncode == 0, (message, done.stderr)
    return rows_of(Path("shop.db"), 'select * from "new"')


@dataclass(frozen=True)
class Case:
    """A file, the options of the call that fails, what its message says, and what each way on loads (None: not this file)."""

    data: bytes | Callable[[Path], object]
    says: str
    loads: tuple[list[tuple[Any, ...]] | None, ...]
    options: tuple[str, ...] = ()
    name: str = "it is.csv"


def case(
    data: str | bytes | Callable[[Path], object], says: str, *loads: list[tuple[Any, ...]] | None, **more: Any
) -> Case:
    return Case(data.encode() if isinstance(data, str) else data, says, loads, **more)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("t.csv", GOOD)


def database(path: Path) -> None:
    c = sqlite3.connect(path)
    c.executescript('create table "TABLE"(id integer primary key, v text); insert into "TABLE" values (1, \'é\')')
    c.close()


GOOD = "id,v\n1,é\n"
ROWS: list[tuple[Any, ...]] = [(1, "é")]
WORDS = ["Straße", "Müller", "Köln", "Grüße", "Übung", "schön", "Bär", "größer"]
CASES = {
    # ------------------------------------------------------------------------------ a first line that is no header
    "numbers without a header": case(
        "1,1,2\n3,4,5\n", "more than one column '1'", [(1, 1, 2), (3, 4, 5)], [(3, 4, 5)]
    ),
    "other numbers without a header": case(
        "1,7,2.5\n3,4,5\n", "nothing but numbers", [(1, 7, 2.5), (3, 4, 5.0)], [(3, 4, 5)]
    ),
    "a row with an empty field": case("x,,1\ny,b,2\n", "no name for column 2", [("x", None, 1), ("y", "b", 2)], [("y", "b", 2)]),
    "a header with names twice": case("id,v,v\n1,a,b\n", "'v' in its header", [("id", "v", "v"), ("1", "a", "b")], [(1, "a", "b")]),
    "names with commas and quotes": case(
        '"a,""b","a,""b"\n1,2\n', "more than one column", [('a,"b', 'a,"b'), ("1", "2")], [(1, 2)]
    ),
    "very many columns": case(",".join(["n"] * 50) + "\n" + ",".join("7" * 50) + "\n", "c1, c2", [("n",) * 50, ("7",) * 50]),
    # ---------------------------------------------------------------------------- lines that stand before the rows
    "a title": case("Report\n\nid,name,city\n1,a,b\n2,c,d\n", "seems to be line 3", [(1, "a", "b"), (2, "c", "d")]),
    "a title with commas": case("Report,,\n,,\nid,name,city\n1,a,b\n2,c,d\n", "line 3", [(1, "a", "b"), (2, "c", "d")]),
    "comments": case("# by a tool\n# 2024\r\nid,name\n1,a\n2,b\n", "line 3", [(1, "a"), (2, "b")]),
    # ---------------------------------------------------------------------------------------- another delimiter
    "semicolons": case("id;v\n1;a,b\n2;c,d\n", "divided by ';'", [(1, "a,b"), (2, "c,d")]),
    "bars": case('id|v\n1|"a|b,c"\n', "divided by '|'", [(1, "a|b,c")]),
    "tabs": case("id\tv\n1\ta,b\n", r"divided by '\t'", [(1, "a,b")]),
    "commas after all": case("id,v\n1,a;b\n", "divided by ','", [(1, "a;b")], options=("--delimiter", ";")),
    # ---------------------------------------------------------------------------------------------------- quotes
    "a stray quote": case('id,v\n1,a\n2,"x\n3,b\n', "row 2", [(1, "a"), (2, '"x'), (3, "b")]),
    "a quote in the header": case('id,"v\n1,a\n', "first line on", [(1, "a")]),
    "a long value": case(
        'id,v\n1,"' + "line\n" * 100 + '"\n', "within 200 bytes (max_record)", None, [(1, "line\n" * 100)],
        options=("--max-record", "200"),
    ),
    "a long line": case("id,v\n1," + "x" * 300 + "\n", "longer than 200 bytes", [(1, "x" * 300)], options=("--max-record", "200")),
    # --------------------------------------------------------------------------------------------------- values
    "a value of another type": case("id,v w\n1,a\n2,1.5\n", "'a' isn't", [(1, "a"), (2, "1.5")], options=("--columns", "v w=int64")),
    # ------------------------------------------------------------------------------------------------ encodings
    "letters of Windows": case("id,v\n1,é\n".encode("cp1252"), "byte 0xe9 in b'\\xe9' is no utf-8 (it is at byte 7)", ROWS),
    "letters that Windows hasn't": case(b"id,v\n1,\x81\n", "0x81", [(1, "ü")], options=("--encoding", "cp1252")),
    "letters of Windows, many": case(
        b"id,v\n" + "".join(f"{i},{w}\n" for i, w in enumerate(WORDS * 20)).encode("cp1252"),
        "b'Stra\\xdfe'", [(i, w) for i, w in enumerate(WORDS * 20)],
    ),
    "a header of Windows": case("id,é\n1,x\n".encode("cp1252"), "byte 0xe9", [(1, "x")]),
    "one bad row of UTF-8": case("id,v\n1,é\n2,ü\n".encode() + b"3,\xff\n", "seems to be utf-8", [*ROWS, (2, "ü")]),
    "Japanese": case(
        b"id,v\n" + "".join(f"{i},これは日本語の文章です\n" for i in range(50)).encode("shift_jis"),
        "CP932", [(i, "これは日本語の文章です") for i in range(50)],
    ),
    "UTF-16": case(GOOD.encode("utf-16"), "is UTF-16,", ROWS),
    "UTF-16 without a mark": case(GOOD.encode("utf-16-be"), "UTF-16BE without", ROWS),
    "UTF-16 without a mark, from Windows": case(GOOD.encode("utf-16-le"), "UTF-16LE without", ROWS),
    "UTF-32": case(GOOD.encode("utf-32"), "is UTF-32", ROWS),
    "UTF-32 without a mark": case(GOOD.encode("utf-32-le"), "UTF-32LE without", ROWS),
    # ----------------------------------------------------------------------------------------- ends that are none
    "an end mark": case("id,v\n1,é\n\x1a", "0x1a (Ctrl-Z)", ROWS, ROWS),
    "an end mark behind a value": case("id,v\n1,é\x1a\r\n", "0x1a (Ctrl-Z)", ROWS),
    "NULs at the end": case("id,v\n1,é\n\0\0\0\0", "ends with NUL bytes", ROWS, ROWS),
    # ------------------------------------------------------------------------------------------ what is no CSV
    "gzip": case(gzip.compress(GOOD.encode()), "is gzip", ROWS),
    "bzip2": case(bz2.compress(GOOD.encode()), "is bzip2", ROWS),
    "xz": case(lzma.compress(GOOD.encode()), "is xz", ROWS),
    "zip": case(zipped, "is a zip archive", ROWS),
    "a database": case(database, "is a SQLite database", ROWS),
}  # fmt: skip


@pytest.mark.parametrize("why", CASES)
def test_advice_is_right_when_it_is_taken(why: str, folder: Path) -> None:
    """All of it that a message gives, one after the other, each from the start."""
    given = CASES[why]
    file = folder / given.name
    given.data(file) if callable(given.data) else file.write_bytes(given.data)
    line = [given.name, SHOP, "new", *given.options]
    message = upload(*line)
    assert given.says in message
    for which, expected in enumerate(given.loads):
        program = (ways(message)[which][1] or "cat").split()[0]
        if not shutil.which(program, path=PATH):
            pytest.skip(f"{program} is not installed")
        if expected is not None:
            assert expected == take(message, which, line)
            Path("shop.db").unlink()


QUARANTINED = {
    "a stray quote": ('id,v\n1,a\n2,"x\n3,b\n', [(1, "a"), (3, "b")]),
    "a row of another width": ("id,v\n1,a\n2\n3,b\n", [(1, "a"), (3, "b")]),
    "a bad byte": (b"id,v\n1,a\n2,\xff\n3,b\n", [(1, "a"), (3, "b")]),
    "an end mark": ("id,v\n1,a\n\x1a", [(1, "a")]),
}


@pytest.mark.parametrize("why", QUARANTINED)
def test_quarantine_is_offered_where_it_loads_the_rest(why: str) -> None:
    """It is the last thing that each such message says."""
    data, expected = QUARANTINED[why]
    Path("t.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    message = upload("t.csv", SHOP, "new")
    assert expected == take(message, -1, ["t.csv", SHOP, "new"])
    assert Path("t.csv.rejected.jsonl").read_text().count("\n") == 1


PYTHON: dict[str, Callable[[str], object]] = {
    "parquet": lambda path: pyarrow.parquet.write_table(pa.table({"id": [1], "v": ["é"]}), path),
    "arrow": lambda path: pyarrow.feather.write_feather(pa.table({"id": [1], "v": ["é"]}), path),
    "jsonl": lambda path: Path(path).write_text('{"id": 1, "v": "é"}\n'),
    "json": lambda path: Path(path).write_text('[{"id": 1, "v": "é"}]'),
}


@pytest.mark.parametrize("kind", PYTHON)
@pytest.mark.parametrize("suffix", ["csv", ""])
def test_what_python_reads_is_loaded_as_the_message_says(kind: str, suffix: str) -> None:
    """Told by its content or by its name."""
    name = f"t.{suffix or kind}"
    PYTHON[kind](name)
    message = upload(name, SHOP, "new")
    found = re.search(r"its rows instead of its path: (\S+\(.*\))\.$", message.strip())
    assert found, message
    import pandas as pd

    data = eval(found[1], {"pyarrow": pyarrow, "pandas": pd})
    resumable.upload(data, SHOP, "new").run()
    assert ROWS == rows_of(Path("shop.db"), "select * from new")


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"<!DOCTYPE html>\n<html lang='en'>", "is an HTML page, not CSV"),
        (b"\xef\xbb\xbf \n<!-- x --><HTML>", "is an HTML page, not CSV"),
        (b'<?xml version="1.0"?><error/>', "is an XML document, not CSV"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"PK\x03\x04....[Content_Types].xml", "is an Excel workbook"),
        (b"\xd0\xcf\x11\xe0", "is an Excel workbook"),
        (b"PGDMP\x01", "is a PostgreSQL dump"),
        (b"\0" * 5000, "is nothing but NUL bytes at its beginning"),
    ],
)
def test_what_is_no_table_is_called_by_its_name(head: bytes, says: str) -> None:
    """With what to do, which nobody but a person can."""
    Path("t.csv").write_bytes(head)
    assert says in upload("t.csv", SHOP, "new")


@pytest.mark.parametrize("encoding", ["utf-16", "shift_jis", "gb18030", "euc_kr"])
def test_an_encoding_that_cannot_be_read_is_converted_as_the_message_says(encoding: str) -> None:
    """`FILE` in it is the file."""
    Path("FILE").write_bytes("id,v\n1,Ж\n".encode(encoding))
    assert [(1, "Ж")] == take(upload("FILE", SHOP, "new", "--encoding", encoding), 0, [])


def test_without_the_extra_the_common_encodings_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """charset-normalizer is asked first where it is installed; each that is named reads the whole file."""
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    data = "id,v\n" + "".join(f"{i},{w}\n" for i, w in enumerate(WORDS * 20))
    Path("t.csv").write_bytes(data.encode("cp1252"))
    message = upload("t.csv", SHOP, "new")
    assert [w for _, w in take(message, 0, ["t.csv", SHOP, "new"])] == WORDS * 20
    named = re.findall(r"--encoding (\S+)\)", message)
    assert "cp1252" == named[0]
    for name in named:
        assert Path("t.csv").read_bytes().decode(name)


def test_a_mark_of_utf8_counts_more_than_what_was_said_and_that_is_said() -> None:
    """Names and values are right, from every position; the run and `explain()` say it."""
    Path("t.csv").write_bytes(("\ufeffé,v\n" + "1,ü\n" * 100).encode())
    said = "begins with a byte order mark, so it is read as UTF-8, not as iso8859-1"
    done = here("upload", "t.csv", SHOP, "new", "--encoding", "latin-1", "--explain")
    assert said in done.stdout
    done = here("upload", "t.csv", SHOP, "new", "--encoding", "latin-1", "--every", "0")
    assert done.returncode == 0
    assert said in done.stderr
    assert [(1, "ü")] * 100 == rows_of(Path("shop.db"), 'select "é", v from new')
    source = CsvSource("t.csv", encoding="latin-1", block_size=20)
    schema, identity = source.schema(), source.identity()
    batches = list(source.read(schema, None, identity))
    again = list(source.read(schema, batches[3].position, identity))
    assert [b.rows.to_pylist() for b in batches[4:]] == [b.rows.to_pylist() for b in again]
    assert "" == CsvSource("t.csv").note


# --------------------------------------------------------------------------------------------------- pipes


def sh(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], env=environment({"PATH": PATH}), capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("cat t.csv | resumable upload - sqlite:///shop.db new", "cat t.csv > rows.csv"),
        ("cat t.csv | resumable upload /dev/stdin sqlite:///shop.db new", "cat t.csv > rows.csv"),
        ("resumable upload <(cat t.csv) sqlite:///shop.db new", "cat t.csv > rows.csv"),
        ("resumable upload pipe sqlite:///shop.db new", "cat < {pipe} > rows.csv"),
    ],
)
def test_a_pipe_is_not_read_and_how_it_becomes_a_file_is_said(line: str, way: str, folder: Path) -> None:
    """Nothing of it is taken; what is said instead works."""
    Path("t.csv").write_text(GOOD)
    os.mkfifo("pipe")
    done = sh(line)
    assert done.returncode == 1
    assert "can't be read again after a stop" in done.stderr
    [command] = re.findall(r"`(.*? > rows\.csv)`", done.stderr)
    taken = command.replace("COMMAND", "cat t.csv")
    assert way.format(pipe=folder / "pipe") == taken
    sh(f"{'cat t.csv > pipe &' if 'pipe' in taken else ''} {taken}; resumable upload rows.csv sqlite:///shop.db new")
    assert ROWS == rows_of(Path("shop.db"), "select * from new")


def test_standard_input_that_is_a_file_is_that_file(folder: Path) -> None:
    """It can be read again, so it is the same run as by its name; one that is called `-` is `./-`."""
    Path("t.csv").write_text(GOOD)
    assert sh("resumable upload - sqlite:///shop.db new < t.csv").returncode == 0
    assert "nothing to do" in here("upload", "t.csv", SHOP, "new").stderr
    Path("-").write_text(GOOD)
    assert here("upload", "./-", SHOP, "other").returncode == 0


@pytest.mark.parametrize("target", ["-", "/dev/stdout", "/dev/fd/1", "/dev/null", ">(cat)", "pipe"])
def test_an_export_into_a_pipe_is_refused_and_makes_no_file(target: str, folder: Path) -> None:
    """Also where standard output is a file; what is said instead works."""
    Path("t.csv").write_text(GOOD)
    assert here("upload", "t.csv", SHOP, "new").returncode == 0
    os.mkfifo("pipe")
    for end in ("", " > out"):
        done = sh(f"resumable export sqlite:///shop.db new {target}{end}")
        assert done.returncode == 2
        assert "can't be taken back" in done.stderr
    Path("out").unlink()
    assert {".resumable", "t.csv", "shop.db", "pipe"} == {path.name for path in folder.iterdir()}
    [command] = re.findall(r"`(.*)`", done.stderr)
    assert GOOD == sh(command.replace("...", "export sqlite:///shop.db new")).stdout


def test_rejects_into_a_pipe_are_refused() -> None:
    """`--quarantine -` made a file of that name."""
    Path("t.csv").write_text(GOOD)
    for to in ("-", "/dev/stderr"):
        assert "can't be taken back" in upload("t.csv", SHOP, "new", "--on-bad-row", "quarantine", "--quarantine", to)


# ----------------------------------------------------------------------------------------------- all of it

SOURCE = Path(resumable.__file__).parent
OTHERS = {"--from", "--to"}
"""Options of other programs that messages name."""


def options() -> set[str]:
    """Every option that the command line has, by its help."""
    found = {"--version", "--help"}
    for command in ("upload", "export", "resume", "terminate", "pause", "status", "list"):
        found |= set(re.findall(r"--[a-z][a-z-]+", here(command, "--help").stdout))
    return found


def test_every_option_that_a_message_names_is_there() -> None:
    """In any text of the library."""
    known = options()
    assert "--max-record" in known
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", node.value):
                    assert option in known | OTHERS, f"{path.name} names {option}"


def test_what_spoils_a_line_is_kept_in_the_run() -> None:
    """With other bytes a record may have, other rows would be read: `OptionsChanged`, not half of each."""
    rows = "".join(f"{i},x\n" for i in range(200_000))
    Path("t.csv").write_text("id,v\n" + rows)
    line = ("upload", "t.csv", SHOP, "new", "--every", "0", "--name", "n")
    pipeline = resumable.upload("t.csv", SHOP, "new", name="n", every=0)
    for _ in pipeline:
        break
    done = here(*line, "--max-record", "1000")
    assert done.returncode == 1
    assert "max_record was 8388608 and is now 1000" in done.stderr
    assert here("resume", "n").returncode == 0
