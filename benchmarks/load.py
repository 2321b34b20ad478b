"""Upload and export beside the tools that people use otherwise: whole processes, in turn, the median of the rounds."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import DDL, Took, lineitem, resumable, timed

PANDAS = """
import pandas, sqlalchemy, sys
engine = sqlalchemy.create_engine(sys.argv[2])
for frame in pandas.read_csv(sys.argv[1], chunksize=100_000):
    frame.to_sql("lineitem", engine, if_exists="append", index=False)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "resumable-bench")
    parser.add_argument("--no-pandas", action="store_true", help="it takes minutes at scale 1")
    a = parser.parse_args()
    source = lineitem(a.scale, a.data)
    rows = sum(block.count(b"\n") for block in iter(lambda f=source.open("rb"): f.read(2**24), b"")) - 1
    print(f"{source.name}: {source.stat().st_size / 2**20:.0f} MiB, {rows:,} rows")

    import services

    work = Path(tempfile.mkdtemp(prefix="resumable-bench-"))
    try:
        sqlite(source, work, a.rounds, not a.no_pandas)
        with services.postgres_server() as server:
            postgres(source, work, a.rounds, not a.no_pandas, server)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sqlite(source: Path, work: Path, rounds: int, pandas: bool) -> None:
    ours, theirs, out = work / "ours.db", work / "theirs.db", work / "out.csv"

    def upload() -> Took:
        ours.unlink(missing_ok=True)
        shutil.rmtree(work / "store", ignore_errors=True)
        return timed(resumable("upload", source, f"sqlite:///{ours}", "lineitem", "--store", work / "store"))

    def imported() -> Took:
        theirs.unlink(missing_ok=True)
        script = DDL.format(table="lineitem") + f";\n.mode csv\n.import --skip 1 {source} lineitem\n"
        return timed(["sqlite3", str(theirs)], stdin=script)

    def by_pandas() -> Took:
        theirs.unlink(missing_ok=True)
        return timed([sys.executable, "-c", PANDAS, str(source), f"sqlite:///{theirs}"])

    def export() -> Took:
        out.unlink(missing_ok=True)
        shutil.rmtree(work / "store", ignore_errors=True)
        return timed(resumable("export", f"sqlite:///{ours}", "lineitem", out, "--store", work / "store"))

    def dumped() -> Took:
        out.unlink(missing_ok=True)
        return timed(["sqlite3", str(ours)], stdin=f".mode csv\n.headers on\n.once {out}\nselect * from lineitem;\n")

    peers = {"sqlite3 .import": imported} | ({"pandas to_sql": by_pandas} if pandas else {})
    compare("upload into SQLite", upload, peers, rounds)
    compare("export from SQLite", export, {"sqlite3 .mode csv": dumped}, rounds)


def postgres(source: Path, work: Path, rounds: int, pandas: bool, server: object) -> None:
    from sqlalchemy.engine import make_url

    import services

    database = services.Database(server)  # type: ignore[arg-type]
    url, out = database.url, work / "out-pg.csv"
    given = make_url(url)
    psql = [
        "psql",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        str(given.host),
        "-p",
        str(given.port),
        "-U",
        str(given.username),
    ]
    psql += ["-d", str(given.database)]

    def upload() -> Took:
        timed([*psql, "-c", "drop table if exists lineitem, resumable_ledger"])
        shutil.rmtree(work / "store", ignore_errors=True)
        return timed(resumable("upload", source, url, "lineitem", "--store", work / "store"))

    def copied() -> Took:
        timed([*psql, "-c", "drop table if exists theirs"])
        copy = f"\\copy theirs from '{source}' with (format csv, header)\n"
        return timed(psql, stdin=DDL.format(table="theirs") + ";\n" + copy)

    def by_pandas() -> Took:
        timed([*psql, "-c", "drop table if exists lineitem, resumable_ledger"])
        return timed([sys.executable, "-c", PANDAS, str(source), str(given.set(drivername="postgresql+psycopg"))])

    def export() -> Took:
        out.unlink(missing_ok=True)
        shutil.rmtree(work / "store", ignore_errors=True)
        keys = ["--key", "l_orderkey,l_linenumber"]
        return timed(resumable("export", url, "theirs", out, *keys, "--store", work / "store"))

    def dumped() -> Took:
        out.unlink(missing_ok=True)
        query = "(select * from theirs order by l_orderkey, l_linenumber)"
        return timed(psql, stdin=f"\\copy {query} to '{out}' with (format csv, header)\n")

    peers = {"psql \\copy from": copied} | ({"pandas to_sql": by_pandas} if pandas else {})
    compare("upload into PostgreSQL", upload, peers, rounds)
    timed([*psql, "-c", "create unique index on theirs (l_orderkey, l_linenumber)", "-c", "vacuum analyze theirs"])
    compare("export from PostgreSQL", export, {"psql \\copy to": dumped}, rounds)
    database.drop()


def compare(what: str, ours: Callable[[], Took], peers: dict[str, Callable[[], Took]], rounds: int) -> None:
    """In turn, so that a machine that slows down slows all of them."""
    took: dict[str, list[Took]] = {}
    for n in range(rounds):
        for name, run in {"resumable": ours, **peers}.items():
            if n == 0 or "pandas" not in name:  # minutes: once is enough
                took.setdefault(name, []).append(run())
    mine = statistics.median(t.seconds for t in took["resumable"])
    print(f"\n{what}")
    for name, all_of_it in took.items():
        seconds = statistics.median(t.seconds for t in all_of_it)
        peak = max(t.peak for t in all_of_it)
        print(
            f"  {name:20} {seconds:7.2f} s   resumable takes {mine / seconds:5.2f} x of it   peak {peak:6.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
