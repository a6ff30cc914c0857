"""The command ``prefect-mutagen``; see `prefect_mutagen.scanner.commands.program`."""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    # The processes that a scan starts import this module too, and need nothing of the commands.
    from prefect_mutagen.scanner.commands.program import run
    from prefect_mutagen.scanner.own_faults import faults_on_stderr

    with faults_on_stderr():
        return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
