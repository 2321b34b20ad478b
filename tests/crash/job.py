"""`python job.py ARGUMENTS`: the command line, with batches of 1,000 rows, so that a small file is many commits."""

import importlib.util
import sys
import types

# The limits are set before any other module of the package takes them over.
spec = importlib.util.find_spec("resumable")
assert spec is not None
package = types.ModuleType("resumable")
package.__path__ = list(spec.submodule_search_locations or ())
sys.modules["resumable"] = package

from resumable import protocols  # noqa: E402

protocols.MAX_ROWS, protocols.MAX_BYTES = 1_000, 2**16
del sys.modules["resumable"]

from resumable.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
