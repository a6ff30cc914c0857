"""Which files that nobody signed could run: all but those that are known not to.

What is allowed is listed, not what is forbidden: a list of endings that run is never complete. What
loaders take is known from their plans; this is about everything else in a signed folder.
"""

from collections.abc import Iterable
from typing import Final

from prefect_mutagen.scanner.listing.known_kinds import is_harmless
from prefect_mutagen.scanner.listing.roles import role_of

__all__ = ["could_run", "is_exempt"]

_RUN: Final = ("code", "pickle", "other-weights")


def could_run(path: str) -> bool:
    """Whether a file might be run, loaded as a library, or unpickled, as far as its name tells.

    Args:
        path: Its path. Files that describe models, and weights that are no pickles, cannot.
    """
    name = path.rpartition("/")[2]
    role = role_of(name)
    if role != "other":
        return role in _RUN
    return not is_harmless(name)


def is_exempt(path: str, ignored: Iterable[str]) -> bool:
    """Whether a statement says that a file is not part of what it covers.

    Args:
        path: Path of the file below the signed folder.
        ignored: Paths that the statement ignores, with everything below them.
    """
    plain = (entry.removeprefix("./").rstrip("/") for entry in ignored)
    return any(
        path == entry or path.startswith(f"{entry}/") for entry in plain if entry not in ("", ".")
    )
