"""Say what became of keys that are no part of a model."""

from collections.abc import Iterator, Sequence
from typing import Final

from prefect_mutagen.scanner.listing.keyed import FoundKeys
from prefect_mutagen.scanner.listing.keys import decoded
from prefect_mutagen.scanner.outputs.outcomes import path_below, shortened
from prefect_mutagen.scanner.outputs.visible import counted, visible
from prefect_mutagen.scanner.storage.names import storable

__all__ = ["describe_keys", "not_found"]

_NAMED: Final = 20
"""Keys of each kind that have a line; a misspelt prefix is the same mistake a thousand times."""
_FIRST: Final = 3
"""Keys in a sentence, which is read on one line."""
_WIDTH: Final = 60
"""Characters of their paths."""


def describe_keys(keys: FoundKeys) -> Iterator[str]:
    """Yield a line for each of the first keys without an object or without a model.

    Args:
        keys: What a listing found of them.
    """
    for url in keys.not_found[:_NAMED]:
        hint = decoded(url)
        meant = f"; it looks URL-encoded, as in S3's notifications: {hint}?" if hint else ""
        yield f"{_shown(url)}: not found: there is no such object{visible(meant, 1000)}"
    yield from _more(keys.not_found, "not there either")
    for url in keys.without_model[:_NAMED]:
        yield f"{_shown(url)}: it belongs to no model"
    yield from _more(keys.without_model, "of no model either")


def not_found(keys: FoundKeys, source: str) -> str:
    """Return how many keys have no object, and the first of them; empty: all have one.

    Args:
        keys: What a listing found of them.
        source: The root.
    """
    urls = keys.not_found
    if not urls:
        return ""
    first = (shortened(path_below(source, url), _WIDTH) for url in urls[:_FIRST])
    more = ", …" if len(urls) > _FIRST else ""
    return f"{counted(len(urls), 'key')} not found: {', '.join(first)}{more}"


def _more(urls: Sequence[str], said: str) -> Iterator[str]:
    left = len(urls) - _NAMED
    if left > 0:
        yield f"{counted(left, 'more key')} {'is' if left == 1 else 'are'} {said}"


def _shown(url: str) -> str:
    return visible(storable(url), 1000)
