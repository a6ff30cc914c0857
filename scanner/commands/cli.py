"""The command ``prefect-mutagen``; see `scanner.commands.program`."""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the program's name. By default those of the process; then signals end
            the process as `scanner.shutdown` describes.

    Returns:
        The exit status.
    """
    if arguments is None:
        from prefect_mutagen.scanner.shutdown import ended_by_signals

        with ended_by_signals():
            return main(sys.argv[1:])
    from prefect_mutagen.scanner.commands.program import run
    from prefect_mutagen.scanner.internal_errors import faults_on_stderr

    with faults_on_stderr():
        return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
