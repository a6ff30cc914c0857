"""Find licences in what people write: names, identifiers, slugs and glued words, in any spelling.

The words of a text are searched from left to right. Some families of licences are read by rules
(`license_families`); all others are looked up by their words, without filler words and punctuation,
in `license_names` and in the SPDX list of the package ``packaging``. The cost is linear in the
length of the text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

from prefect_mutagen.scanner.content.license_families import current_id, read_families
from prefect_mutagen.scanner.content.license_names import (
    FAMILY_NAMES,
    LICENSE_NAMES,
    MODEL_LICENSES,
)
from prefect_mutagen.scanner.content.license_words import (
    FILLERS,
    Word,
    plain_words,
    spell_out,
    words_of,
)

__all__ = ["Match", "find_licenses", "known_names", "whole_license"]

_SEPARATORS: Final = re.compile(r"[,;|/\n&•、]")
_NOISE: Final = re.compile(r"[^a-z0-9+]+|\+(?=[a-z0-9])")
_GLUED_FILLERS: Final = re.compile(r"licen[cs]es?|version|v(?=\d)")
_LONG_TEXT: Final = 40  # words; in a longer text a plain English word is just that
_MOST_WORDS: Final = 14  # of a name


class Match(NamedTuple):
    """A licence that a text names, and where."""

    start: int
    end: int
    license: str
    """SPDX identifier, or a ``LicenseRef`` for a licence or a version that SPDX does not list."""


@lru_cache(maxsize=4096)
def _part(word: str) -> str:
    """Return what a word adds to the key of a name; fillers add nothing."""
    return "" if word in FILLERS else _NOISE.sub("", _GLUED_FILLERS.sub("", word))


class _Names(NamedTuple):
    by_key: Mapping[str, str]
    """Licences by the letters and digits of their names, without filler words."""
    beginnings: frozenset[str]
    """Every beginning of a key, so that a search can stop."""


@cache
def _names() -> _Names:
    """Build the dictionary of names, once."""
    by_key: dict[str, str] = {}
    spelled = [(spell_out(name), license_id) for name, license_id in _known()]
    for text, license_id in spelled:
        by_key.setdefault(_NOISE.sub("", text), license_id)
    for text, license_id in spelled:
        by_key.setdefault("".join(map(_part, plain_words(text))), license_id)
    by_key.pop("", None)
    beginnings = (key[:length] for key in by_key for length in range(1, len(key) + 1))
    return _Names(by_key, frozenset(beginnings))


def known_names() -> Mapping[str, str]:
    """Return the licences by the letters and digits of the names that they are known by."""
    return _names().by_key


def _known() -> Iterator[tuple[str, str]]:
    """Yield names and their licences; of equal names, the first counts."""
    from packaging.licenses._spdx import LICENSES

    identifiers = [entry["id"] for entry in LICENSES.values()]
    for shorten in (str, _short):
        for license_id in identifiers:
            yield shorten(license_id), current_id(license_id)
    for license_id, names in LICENSE_NAMES.items():
        for name in names.split(";"):
            yield name, license_id
    for license_id, names in MODEL_LICENSES.items():
        for name in (*names.split(";"), license_id):
            yield name, f"LicenseRef-{license_id}"
    for family, names in FAMILY_NAMES.items():
        for name in (*names.split(";"), family):
            yield from _versions(name, family, identifiers)
    for family in _VERSIONED:
        yield family, f"LicenseRef-{family}"


def _versions(name: str, family: str, identifiers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield a family's name with each of its versions, and without one."""
    pattern = re.compile(rf"{family}-(\d[\d.]*[a-z]?)")
    versions = [found for found in map(pattern.fullmatch, identifiers) if found]
    for found in versions:
        yield f"{name} {found[1]}", found[0]
        yield f"{name} {_short(found[1])}", found[0]
    yield name, versions[0][0] if len(versions) == 1 else f"LicenseRef-{family.lower()}"


_VERSIONED: Final = (
    *("agpl", "bsd", "gpl", "lgpl", "cc-by", "cc-by-nc", "cc-by-nc-nd", "cc-by-nc-sa", "cc-by-nd"),
    *("cc-by-sa", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4"),
)


def _short(version: str) -> str:
    return version.removesuffix(".0").removesuffix(".0")


def whole_license(spelled: str) -> str:
    """Return the licence that a whole text names, whatever the noise in it; empty if none."""
    text = spelled.strip().rstrip(",;./|")
    if _SEPARATORS.search(text):
        return ""
    by_key = _names().by_key
    glued = _NOISE.sub("", text)
    told = "".join(map(_part, plain_words(text)))
    for key in (glued, _GLUED_FILLERS.sub("", glued), told):
        if key in by_key:
            return by_key[key]
    return ""


def find_licenses(spelled: str) -> list[Match]:
    """Find the licences that a text names, in its order, without overlaps.

    Args:
        spelled: Result of `spell_out`.
    """
    words = words_of(spelled)
    is_long = len(words) > _LONG_TEXT
    matches: list[Match] = []
    position = 0
    while position < len(words):
        best, license_id = 0, ""
        for count, one in _at(words, position, spelled, is_long=is_long):
            if count > best:
                best, license_id = count, one
        if best:
            last = words[position + best - 1]
            matches.append(Match(words[position].start, last.end, license_id))
        position += best or 1
    return matches


def _at(
    words: Sequence[Word], position: int, spelled: str, *, is_long: bool
) -> Iterator[tuple[int, str]]:
    """Yield the licences that begin at a word, each with its number of words."""
    yield from read_families(words, position, is_long=is_long)
    if words[position].text in FILLERS:
        return
    names, key = _names(), ""
    for count, word in enumerate(words[position : position + _MOST_WORDS], 1):
        part = _part(word.text)
        if not part:
            continue
        if count > 1 and not part[0].isdigit():
            between = spelled[words[position + count - 2].end : word.start]
            if _SEPARATORS.search(between):
                return  # a list, not one name; only a version may follow a comma
        key += part
        if key not in names.beginnings:
            return
        found = names.by_key.get(key)
        if found and (not is_long or count > 1 or any(map(str.isdigit, key))):
            yield count, found
