"""The command ``prefect-mutagen`` as a program: ``python -m prefect_mutagen`` is the same."""

import gc
import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command with the arguments of this process.

    Returns:
        The exit status.
    """
    # A signal that comes while the rest is imported waits until it can be answered. On its own,
    # SIGINT would be a traceback from somewhere in the imports.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    from prefect_mutagen.scanner.commands.cli import main as run

    # A listing makes millions of objects, none of them in circles: looking for circles as often as
    # Python does by default takes a tenth of a scan that finds nothing new.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return run()


if __name__ == "__main__":
    sys.exit(main())
