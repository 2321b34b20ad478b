"""`python job.py ARGUMENTS`: the command line, with batches of 1,000 rows, so that a small file is many commits.

JOB_ROWS in the environment says another number; importing this module sets the limits, and runs nothing.
"""

import importlib.util
import os
import sys
import types

# The limits are set before any other module of the package takes them over.
spec = importlib.util.find_spec("resumable")
assert spec is not None
package = types.ModuleType("resumable")
package.__path__ = list(spec.submodule_search_locations or ())
sys.modules["resumable"] = package

from resumable import protocols  # noqa: E402

protocols.MAX_ROWS, protocols.MAX_BYTES = int(os.environ.get("JOB_ROWS", "1000")), 2**16
del sys.modules["resumable"]

from resumable.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
