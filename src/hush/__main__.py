"""``python -m hush``: the command line without its script."""

import sys

from hush.cli import main

sys.exit(main())
