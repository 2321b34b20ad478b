"""An interrupt at any moment: no thread is left behind, and at the start of the command line one line is said."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from shell import environment

BY_LINE = """
import gc, itertools, sys, threading, time, traceback
import resumable.session.prefetch, resumable.control.claims, contextlib
from resumable.stores import MemoryStore

OURS = (resumable.session.prefetch.__file__, resumable.control.claims.__file__, __file__)
CALLED = (threading.Thread.start.__code__, threading.Thread.join.__code__, threading.Event.set.__code__)

class Strike:
    '''Raises KeyboardInterrupt at the n-th call or line, in this thread.'''

    def __init__(self, n):
        self.left = n
    def __call__(self, frame, event, arg):
        # Python's own locks aren't made for it: inside of them only the beginnings of what we call.
        if frame.f_code.co_filename not in OURS and frame.f_code not in CALLED:
            return None
        if event in ('call', 'line') and sys.exc_info()[0] is None:  # a handler that is cut short would keep its error
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self if frame.f_code not in CALLED else None

def reading():
    with resumable.session.prefetch.prefetch(x for x in itertools.count()) as items:
        next(items)

store = MemoryStore()

def claiming():
    with resumable.control.claims.claim_run(store, 'r'):
        pass

def left():
    '''The threads of ours that don't end by themselves.'''
    end = time.monotonic() + 30
    while time.monotonic() < end:
        gc.collect()
        if not (threads := [t for t in threading.enumerate() if t.name.startswith('resumable') and t.ident]):
            return []
        time.sleep(0.01)
    return threads

act, struck = {'reading': reading, 'claiming': claiming}[sys.argv[1]], 0
for n in itertools.count(1):
    strike = Strike(n)
    sys.settrace(strike)
    try:
        act()
    except KeyboardInterrupt:
        struck, at = struck + 1, traceback.format_exc()
    finally:
        sys.settrace(None)
    if strike.left > 0:
        break
    assert left() == [], at
    assert not resumable.control.claims.own_tokens, at
    claiming()  # nobody has it
print(struck)
"""


@pytest.mark.parametrize("what", ["reading", "claiming"])
def test_an_interrupt_at_any_line_leaves_no_thread(what: str, tmp_path: Path) -> None:
    """At each call and each line by which the reader, and the heart of a claim, are started and ended."""
    script = tmp_path / "strike.py"
    script.write_text(BY_LINE)
    done = subprocess.run([sys.executable, script, what], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 20


ENTRY = "import sys\nfrom resumable.starting import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
"""As pip writes it."""
AT = [1, 2, 10, 30, 80, 150, 220, 290, 360, 420, 460]
"""Imports after the first one of ours; there are some 470."""


@pytest.mark.parametrize("way", ["console script", "-m"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_python_still_imports_is_one_line(
    way: str, number: signal.Signals, tmp_path: Path, tried: Callable[[str], None]
) -> None:
    """After any import, from our own first one on: status 75, no traceback, and nothing was made."""
    script = tmp_path / "resumable"
    script.write_text(ENTRY)
    struck = 0
    for at in AT:
        words = [str(script)] if way == "console script" else ["-m", "resumable"]
        with subprocess.Popen(
            [sys.executable, "-X", "importtime", *words, "pause", "x"],
            cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        ) as process:  # fmt: skip
            assert process.stderr is not None
            seen = -1
            for line in process.stderr:
                if seen >= 0 or line.endswith(" resumable.starting\n"):
                    seen += 1
                if seen == at:
                    process.send_signal(number)
                    break
            said = [line for line in process.stderr.read().splitlines() if not line.startswith("import time:")]
            process.wait(60)
        assert "Traceback" not in "\n".join(said)
        if process.returncode == 75:
            struck += 1
            assert len(said) == 1, said
            assert said[0].startswith("resumable: Interrupted")
        else:
            assert process.returncode == 1, (at, said)
            assert "no run" in said[0]
    assert struck > len(AT) // 2
    assert [script] == list(tmp_path.iterdir())
    tried(f"{number.name} while Python imports ({way}): {struck} of {len(AT)} moments")
