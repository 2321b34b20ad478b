"""python -m resumable"""

import sys

from resumable.starting import main

sys.exit(main())
