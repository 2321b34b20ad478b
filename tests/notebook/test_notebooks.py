"""In a real kernel: the interrupt pauses, the same cell goes on, also after `kill -9`; what is shown there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import PATIENCE, execute, until
from kernels import Cell, Kernel
from resumable.checkpoint import Checkpoint
from resumable.control.status import status_of
from resumable.stores import FileStore

ROWS = 30_000
EXPECTED = [(n, f"word {n}") for n in range(1, ROWS + 1)]

SET_UP = f"""
import sys, time
sys.path.append({str(Path(__file__).parents[1] / "tools")!r})
import job  # batches of 1,000 rows
import resumable

pace = 0.1  # seconds for a batch
def slowly(batch):
    time.sleep(pace)
    return batch

def pipeline(transform=slowly):
    return resumable.upload("rows.csv", "sqlite:///target.db", "t", name="run", every=0, transform=transform)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("id,word\n" + "".join(f"{n},{word}\n" for n, word in EXPECTED))
    return tmp_path


@pytest.fixture
def kernel(folder: Path) -> Iterator[Kernel]:
    with Kernel(folder) as kernel:
        kernel.well(SET_UP)
        yield kernel


def status(folder: Path) -> str:
    """Of the run, as others see it."""
    return status_of(FileStore(folder / ".resumable").load("run"))


def last(folder: Path) -> Checkpoint:
    """The last checkpoint of the run; an empty one before the first."""
    record = FileStore(folder / ".resumable").load("run")
    return Checkpoint() if record is None else record.checkpoint


def table(folder: Path) -> list[tuple[object, ...]]:
    """The target's rows, as they lie there; [] if there is no such table."""
    url = f"sqlite:///{folder / 'target.db'}"
    if not execute(url, "select 1 from sqlite_master where name = 't'"):
        return []
    return execute(url, "select id, word from t")


def in_the_middle(kernel: Kernel, folder: Path, code: str = "pipeline().run()", rows: int = 2_000) -> Cell:
    """A cell that is at work, with some rows committed."""
    cell = kernel.begin(code)
    kernel.until(cell, lambda: last(folder).rows >= rows or cell.done)
    assert not cell.done, f"it ended before it could be met: {cell.error}"
    return cell


@pytest.mark.parametrize(
    "code", ["pipeline().run()", "import asyncio\nawait asyncio.sleep(0)\npipeline().run()", "pipeline().restart()"]
)
def test_the_interrupt_pauses_at_a_commit_and_the_same_cell_goes_on(code: str, kernel: Kernel, folder: Path) -> None:
    """One sentence that says how to go on instead of a traceback; twice, then to the end: every row once, in order."""
    for session in (1, 2):
        cell = in_the_middle(kernel, folder, code if session == 1 else "pipeline().run()", 2_000 + last(folder).rows)
        kernel.interrupt()
        error = kernel.finish(cell).error
        safe = last(folder)
        assert error is not None
        assert "Paused" == error["ename"]
        said = f"Run 'run' is paused at {safe.rows:,} rows. Everything up to there is safe; "
        said += "the target doesn't show it yet. Run the cell again to go on."
        assert [said] == error["traceback"]
        assert ("paused", session, []) == (status(folder), len(safe.sessions), table(folder))
    assert 0 < safe.rows < ROWS
    assert "3" == kernel.well("pace = 0\npipeline().run().sessions").shown("text/plain")[-1]
    assert EXPECTED == table(folder)


def test_after_a_run_the_interrupt_is_the_cells_own_again(kernel: Kernel) -> None:
    """The handler is there for as long as the run, and no longer."""
    cell = kernel.begin("pace = 0\npipeline().run()\nprint('here', flush=True)\ntime.sleep(1000)")
    kernel.until(cell, lambda: cell.text() or cell.done)
    assert not cell.done, cell.error
    kernel.interrupt()
    error = kernel.finish(cell).error
    assert error is not None
    assert "KeyboardInterrupt" == error["ename"]


def test_a_second_interrupt_does_not_wait(kernel: Kernel, folder: Path) -> None:
    """Where the commit doesn't come (here the transform hangs), it ends at once; the run can go on all the same."""
    kernel.well("""
def hanging(batch):
    print("hanging", flush=True)
    while not run._stop.asked:
        time.sleep(0.01)
    print("heard", flush=True)
    time.sleep(1000)

run = pipeline(hanging)
""")
    cell = kernel.begin("run.run()")
    kernel.until(cell, cell.text)
    kernel.interrupt()
    kernel.until(cell, lambda: "heard" in cell.text() or cell.done)
    assert not cell.done
    kernel.interrupt()
    error = kernel.finish(cell).error
    assert error is not None
    assert "KeyboardInterrupt" == error["ename"]
    kernel.well("pace = 0\npipeline().run()")
    assert EXPECTED == table(folder)


def test_an_iterator_that_a_cell_has_named_does_not_hold_the_run(kernel: Kernel, folder: Path) -> None:
    """Two cells with the same pipeline: the second goes on, the first's iterator says that it was paused."""
    kernel.well("steps = iter(pipeline())\nnext(steps), next(steps)")
    assert "running" == status(folder)
    assert 0 < last(folder).rows < ROWS
    kernel.well("pace = 0\nagain = pipeline().run()\nassert (again.rows, again.sessions) == (30_000, 2), again")
    error = kernel.run("next(steps)").error
    assert error is not None
    assert ["Run 'run' was stopped from elsewhere in this process. Run the cell again to go on."] == error["traceback"]
    assert EXPECTED == table(folder)


def test_a_loop_that_was_interrupted_in_its_body_goes_on_when_the_cell_is_run_again(
    kernel: Kernel, folder: Path
) -> None:
    """The body is the caller's, and so is the KeyboardInterrupt; the loop was left, so the run is paused."""
    loop = "for step in pipeline():\n    print(step.rows, flush=True)\n    time.sleep(hold)"
    kernel.well("hold = 1000")
    cell = kernel.begin(loop)
    kernel.until(cell, cell.text)
    kernel.interrupt()
    error = kernel.finish(cell).error
    assert error is not None
    assert ("KeyboardInterrupt", "paused") == (error["ename"], status(folder))
    kernel.well("hold = 0")
    safe, on = int(cell.text()), [int(line) for line in kernel.well(loop).text().split()]
    assert safe < on[0] <= safe + 1_000, "not from the start, and nothing left out"
    assert ROWS == on[-1]
    assert EXPECTED == table(folder)


def test_a_killed_kernel_is_forgotten_and_a_new_one_goes_on(folder: Path) -> None:
    """`kill -9` in mid-run; the run is interrupted, and the same cell in a new kernel goes on at once."""
    with Kernel(folder) as first:
        first.well(SET_UP)
        in_the_middle(first, folder)
        first.kill()
    safe = last(folder).rows
    assert ("interrupted", []) == (status(folder), table(folder))
    assert 0 < safe < ROWS
    with Kernel(folder) as second:
        second.well(SET_UP)
        assert "interrupted" in second.well("pipeline()").shown("text/html")[0]
        second.well(f"pace = 0\nsteps = list(pipeline())\nassert {safe} < steps[0].rows <= {safe} + 1_000")
    assert EXPECTED == table(folder)


def test_outside_a_notebook_an_interrupt_is_what_it_is_anywhere(folder: Path) -> None:
    """A script's Ctrl-C is its own: KeyboardInterrupt, and the run is paused."""
    script = SET_UP + "\npipeline().run()"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=folder, stderr=subprocess.PIPE, text=True)
    until(lambda: last(folder).rows or process.poll() is not None, "it commits nothing")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert "KeyboardInterrupt" == said.splitlines()[-1]
    assert "paused" == status(folder)
    assert 0 < last(folder).rows < ROWS


# ------------------------------------------------------------------------------------------- what is shown


WIDGET = "application/vnd.jupyter.widget-view+json"
HIDE = "import importlib.util as u; real = u.find_spec; sys.modules.update(tqdm=None)\n"
HIDE += "u.find_spec = lambda name, *more: None if name == 'tqdm' else real(name, *more)"


def test_a_run_shows_a_bar_of_widgets(kernel: Kernel) -> None:
    """One widget, which moves by itself, and nothing else."""
    cell = kernel.well("pace = 0\n_ = pipeline().run()")
    assert 1 == len(cell.shown(WIDGET))
    assert ("", "") == (cell.text(), cell.text("stderr"))


def test_without_ipywidgets_the_bar_is_made_of_letters(kernel: Kernel) -> None:
    """Name, percent and rows, and no warning that something is missing."""
    kernel.well("sys.modules['ipywidgets'] = None")
    cell = kernel.well("pace = 0\n_ = pipeline().run()")
    lines = cell.text().replace("\r", "\n").split("\n")
    assert ([], "") == (cell.shown(WIDGET), cell.text("stderr"))
    assert [] == [line for line in lines if line and not line.startswith("run:")]
    assert any(line.startswith("run: 100%|") and "30,000 rows, 100%" in line for line in lines)


def test_without_tqdm_there_are_lines(kernel: Kernel) -> None:
    """A line every five seconds, and one at the end."""
    kernel.well(HIDE)
    said = kernel.well("pace = 0\n_ = pipeline().run()").text().splitlines()
    assert said[-1].startswith("run: completed, 30,000 rows, 100%")


def test_pipeline_progress_and_runs_show_themselves_as_html(kernel: Kernel) -> None:
    """And as text, for those who read the notebook without a browser."""
    kernel.well("run = pipeline()\nfor step in run:\n    break")
    for code, word in (("run", "paused"), ("run.progress", "paused"), ("step", "running"), ("resumable.runs()", "run")):
        cell = kernel.well(code)
        assert word in cell.shown("text/html")[0]
        assert word in cell.shown("text/plain")[0]
