"""Name a few of many things in a finding."""

from collections.abc import Iterable, Sequence
from typing import Final

from prefect_mutagen.parsers.errors import shown

__all__ = ["listed", "some_of"]

_NAMED: Final = 5


def listed(names: Sequence[str]) -> str:
    """Return the first few names, quoted, and how many more there are."""
    return some_of(map(shown, names), len(names))


def some_of(texts: Iterable[str], count: int) -> str:
    """Join the first few of many texts, and say how many more there are."""
    shown_texts = [text for text, _ in zip(texts, range(_NAMED), strict=False)]
    more = count - len(shown_texts)
    return ", ".join(shown_texts) + (f" and {more} more" if more > 0 else "")
