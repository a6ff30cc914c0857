"""What a case of a file of pickles is."""

from dataclasses import dataclass

FORBIDDEN = "pickle/forbidden-global"
UNDECIDED = "pickle/undecided-global"
UNREADABLE = "pickle/unreadable"


@dataclass(frozen=True)
class Case:
    """One file and what has to be said about it."""

    id: str
    data: bytes
    codes: frozenset[str] = frozenset()
    """Codes that have to be among its errors."""
    names: frozenset[str] = frozenset()
    """Globals that have to be found."""
    form: str = ""
    """Its format, if that is asked."""


def hostile(name: str, data: bytes, *wanted: str) -> Case:
    """Make a case; what has a slash is a code, all else a global, which is forbidden."""
    codes = {want for want in wanted if "/" in want}
    names = {want for want in wanted if "/" not in want}
    return Case(name, data, frozenset(codes | ({FORBIDDEN} if names else set())), frozenset(names))
