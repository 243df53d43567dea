"""`python -m allometry` is the command line too."""

import sys

from allometry.cli import main

if __name__ == "__main__":
    sys.exit(main())
