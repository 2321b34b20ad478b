"""`python job.py ARGUMENTS`: the command line, with batches of 1,000 rows, so that a small file is many commits.

JOB_ROWS in the environment says another number, JOB_PACE how many seconds to rest after each step, when nothing is
locked: so a run can be met while it is under way, however fast the machine. Importing this module sets all that, and
runs nothing.
"""

import importlib.util
import os
import sys
import time
import types
from typing import Any

# The limits are set before any other module of the package takes them over.
spec = importlib.util.find_spec("resumable")
assert spec is not None
package = types.ModuleType("resumable")
package.__path__ = list(spec.submodule_search_locations or ())
sys.modules["resumable"] = package

from resumable import protocols  # noqa: E402

protocols.MAX_ROWS, protocols.MAX_BYTES = int(os.environ.get("JOB_ROWS", "1000")), 2**16
del sys.modules["resumable"]

from resumable import cli_runs  # noqa: E402
from resumable.cli import main  # noqa: E402

_print_lines = cli_runs.print_lines


def _at_a_pace(*lines: Any) -> None:
    _print_lines(*lines)
    time.sleep(float(os.environ.get("JOB_PACE", "0")))


cli_runs.print_lines = _at_a_pace

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
