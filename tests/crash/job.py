"""`python job.py ARGUMENTS`: the command line, with small batches, so that a small file is many commits."""

import sys

from resumable import protocols

protocols.MAX_ROWS, protocols.MAX_BYTES = 1_000, 2**16  # before the sources take them over

from resumable.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
