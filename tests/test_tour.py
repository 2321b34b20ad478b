"""examples/tour.ipynb: kept as text, and run in a real kernel as a person would, the interrupt included."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from jobs import execute
from kernels import Kernel
from resumable.checkpoint import Checkpoint
from resumable.stores import FileStore

TOUR = Path(__file__).parent.parent / "examples" / "tour.ipynb"
ROWS = 600_000


def cells() -> dict[str, str]:
    """The code of each cell, by its id, in order."""
    notebook = nbformat.reads(TOUR.read_text(encoding="utf-8"), as_version=4)
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


def rows(folder: Path) -> int:
    """The rows that the one run which the store knows has committed."""
    store = FileStore(folder / ".resumable")
    records = [store.load(name) for name in store.names()]
    return sum((record.checkpoint if record else Checkpoint()).rows for record in records)


def test_the_tour_is_kept_as_text() -> None:
    """A valid notebook in one spelling: no outputs, no counts, each cell named; so that its changes can be read."""
    text = TOUR.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert text == nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [([], None)] * len(code) == [(cell.outputs, cell.execution_count) for cell in code]
    assert [] == [cell.id for cell in notebook.cells if not re.fullmatch("[a-z]+(-says)?", cell.id)]
    assert all(set(cell.metadata) == set() for cell in notebook.cells)


def test_the_tour_does_what_it_says(tmp_path: Path) -> None:
    """Upload, interrupt, the same cell again, terminate, export: the table exactly right, the file byte by byte."""
    shown: dict[str, list[str]] = {}
    with Kernel(tmp_path) as kernel:
        for name, code in cells().items():
            if name == "run":
                cell = kernel.begin(code)
                kernel.until(cell, lambda: rows(tmp_path) or cell.done)  # noqa: B023 - it is done before the next
                kernel.interrupt()
                error = kernel.finish(cell).error
                assert error is not None
                assert "Paused" == error["ename"]
                assert 1 == len(error["traceback"])
                assert "Run the cell again to go on." in error["traceback"][0]
                assert 0 < rows(tmp_path) < ROWS
            cell = kernel.well(code)
            shown[name] = [*cell.shown("text/plain"), *cell.shown("text/html")]
    expected = [(n, f"customer {n % 997}", n % 10_000 + 0.25) for n in range(1, ROWS + 1)]
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert expected == execute(url, "select id, customer, total from orders order by rowid")
    assert "paused" in shown["pause"][-1]
    assert "[('orders',), ('resumable_ledger',)]" == shown["terminate"][0]
    assert "True" == shown["same"][0]
    assert (tmp_path / "orders.csv").read_bytes() == (tmp_path / "orders-out.csv").read_bytes()
    assert ["completed", "completed", "terminated"] == re.findall("completed|terminated", shown["runs"][-1])
    with Kernel(tmp_path) as another:  # from the top again: what is done is done
        for code in cells().values():
            another.well(code)
    assert expected == execute(url, "select id, customer, total from orders order by rowid")
