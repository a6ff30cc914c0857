"""``python -m prefect_mutagen``: the command ``prefect-mutagen``."""

import sys

from prefect_mutagen.scanner.cli import main

if __name__ == "__main__":
    sys.exit(main())
