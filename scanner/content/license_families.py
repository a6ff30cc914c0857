"""Read the licences whose names are built like sentences: Creative Commons, GNU and Llama.

Their elements, versions and ``or later`` stand in many orders, so rules read them word by word.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from prefect_mutagen.scanner.content.license_words import FILLERS, Word

__all__ = ["current_id", "family_of", "read_families"]

_MOST_WORDS: Final = 24  # of a name


def read_families(words: Sequence[Word], start: int, *, is_long: bool) -> Iterator[tuple[int, str]]:
    """Yield the licences of these families that begin at a word.

    Args:
        words: Words of a text; see `license_words.spell_out`.
        start: Index of the word.
        is_long: Whether the text is prose, in which a name without a version may be just a word.

    Yields:
        The number of words, and the SPDX identifier; a ``LicenseRef`` where the version is missing
        or SPDX does not list it.
    """
    ahead = words[start : start + _MOST_WORDS]
    yield from _gnu(ahead)
    yield from _cc_zero(ahead)
    yield from _creative_commons(ahead, is_long=is_long)
    yield from _llama(ahead, is_long=is_long)


_REPLACED: Final = re.compile(r"((?:[AL]?GPL|GFDL)-\d\.\d)(\+?)")


def current_id(license_id: str) -> str:
    """Return the identifier that SPDX has now: ``-only`` and ``-or-later`` for GNU licences."""
    gnu = _REPLACED.fullmatch(license_id)
    return gnu[1] + ("-or-later" if gnu[2] else "-only") if gnu else license_id


_WITH_VERSION: Final = re.compile(r"(.+?)(?:-|(?<=llama))\d+(?:\.\d+)*[a-z]?(?:-.*)?")


def family_of(license_id: str) -> str:
    """Return a licence without its version, in lower case; itself if it has none."""
    lower = license_id.lower().removeprefix("licenseref-").partition(" with ")[0]
    base = lower.removesuffix("-only").removesuffix("-or-later").removesuffix("+")
    found = _WITH_VERSION.fullmatch(base)
    return found[1] if found else base


def _listed(license_id: str) -> str:
    """Return an identifier as SPDX lists it, else as a ``LicenseRef``."""
    from packaging.licenses._spdx import LICENSES

    known = LICENSES.get(license_id.lower())
    return known["id"] if known else f"LicenseRef-{license_id.lower()}"


_VERSION: Final = re.compile(r"v?(\d(?:\.?\d)?)(?:\.0)?(\+*)")


def _version_in(text: str) -> tuple[str, bool]:
    """Return the version that a word is, and whether a plus follows it; empty if it is none."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return "", False
    major, _, minor = found[1].partition(".")
    return f"{major[0]}.{minor or major[1:] or '0'}", bool(found[2])


def _version_at(words: Sequence[Word], position: int) -> tuple[str, bool]:
    return _version_in(words[position].text) if position < len(words) else ("", False)


# ------------------------------------------------------------------------------------------- GNU

_GNU: Final = re.compile(r"(?:gnu)?([al]?gpl|gfdl)((?:v|version)?\d(?:\.?\d)?)?(\+*)")
_LATER: Final = frozenset(
    "later newer above higher greater spater spatere posterior ulterieure".split()  # noqa: SIM905
)
_CHOICE: Final = frozenset(
    "or and any at your option the version versions o ou oder hoher jede".split()  # noqa: SIM905
)
_BEFORE_VERSION: Final = FILLERS | {"plus", "gpl", "lgpl", "agpl"}


def _gnu(words: Sequence[Word]) -> Iterator[tuple[int, str]]:
    """Read a GNU licence: its name, a version, and whether later ones may be chosen."""
    is_short = words[0].text == "gnu"  # GNU v3
    found = _GNU.fullmatch("gpl" if is_short else words[0].text)
    if found is None:
        return
    name, is_later = found[1].upper(), bool(found[3])
    end = 1
    version = _version_in((found[2] or "").removeprefix("version"))[0]
    if not version:
        position = end
        skipped = FILLERS if is_short else _BEFORE_VERSION
        while position < len(words) and words[position].text in skipped:
            is_later = is_later or words[position].text == "plus"
            position += 1
        version, plus = _version_at(words, position)
        if version:
            is_later, end = is_later or plus, position + 1
    if not version:
        if not is_short:
            yield 1, f"LicenseRef-{name.lower()}"
        return
    more, allows_later = _later(words[end : end + 9])
    is_later = is_later or allows_later
    yield end + more, _listed(f"{name}-{version}-{'or-later' if is_later else 'only'}")


def _later(words: Sequence[Word]) -> tuple[int, bool]:
    """Return how many words say which versions may be used, and whether later ones may."""
    for position, word in enumerate(words):
        if word.text in _LATER or (word.text == "plus" and position == 0):
            return position + 1, True
        if word.text == "only" and position == 0:
            return 1, False
        if word.text not in _CHOICE:
            break
    return 0, False


# ------------------------------------------------------------------------------ Creative Commons

_ELEMENTS: Final = ("by", "nc", "nd", "sa")  # in the order of an identifier
_CC_WORD: Final = re.compile(r"(cc)?((?:by|nc|nd|sa)*)(v?\d(?:\.?\d)?)?")
_CC_ENDINGS: Final = frozenset(
    (
        *("public", "international", "intl", "generic", "unported", "universal", "deed", "legal"),
        *("code", "internacional", "internazionale", "internationale"),
        *("国际", "國際", "公共", "公共许可协议", "国际许可协议"),
    )
)
_CC_FILLERS: Final = FILLERS | _CC_ENDINGS | {"and", "y", "e", "et", "und"}
_CC_PORTS: Final = {
    "australia": "AU",
    "austria": "AT",
    "england": "UK",
    "france": "FR",
    "germany": "DE",
    "deutschland": "DE",
    "japan": "JP",
    "netherlands": "NL",
    "unitedstates": "US",
    **{name: name.upper() for name in ("at", "au", "de", "fr", "igo", "jp", "nl", "uk", "us")},
}
"""Jurisdictions of ported licences."""


def _cc_zero(words: Sequence[Word]) -> Iterator[tuple[int, str]]:
    first, second = words[0].text, words[1].text if len(words) > 1 else ""
    if first in ("cc0", "cczero"):
        yield 1, "CC0-1.0"
    elif first == "cc" and second in ("zero", "0"):
        yield 2, "CC0-1.0"


def _creative_commons(  # noqa: C901 - one word after the other, as people write them
    words: Sequence[Word], *, is_long: bool
) -> Iterator[tuple[int, str]]:
    """Read a Creative Commons licence: its elements and its version, in any order."""
    elements: set[str] = set()
    version, end, is_named = "", 0, False
    for position, word in enumerate(words):
        found = _CC_WORD.fullmatch(word.text)
        if found is None:
            if position == 0 or word.text not in _CC_FILLERS:
                break
            continue
        parts = {found[2][i : i + 2] for i in range(0, len(found[2]), 2)}
        if position == 0:
            is_named = bool(found[1])
            if not is_named and not parts:
                return  # a number
        elif found[1] or (version and (found[3] or not parts or parts & elements)):
            break  # the next licence of a list
        elements |= parts
        version = version or _version_in(found[3] or "")[0]
        end = position + 1
    while end < len(words) and words[end].text in _CC_ENDINGS:
        end += 1
    if version and end < len(words) and words[end].text in _CC_PORTS:
        version, end = f"{version}-{_CC_PORTS[words[end].text]}", end + 1
    if is_named and not elements:
        if not is_long:
            yield 1, "LicenseRef-cc"
    elif len(elements) > 1 or is_named:
        yield end, _cc_identifier(elements, version)


def _cc_identifier(elements: set[str], version: str) -> str:
    if elements == {"sa"} and version == "1.0":
        return "CC-SA-1.0"
    # Since version 2.0, every licence demands attribution.
    license_id = "-".join(("cc", *(one for one in _ELEMENTS if one in elements | {"by"})))
    if not version:
        return f"LicenseRef-{license_id}"
    ported = _listed(f"{license_id}-{version}")
    return ported if ported[:2] == "CC" else _listed(f"{license_id}-{version.partition('-')[0]}")


# ----------------------------------------------------------------------------------------- Llama

_LLAMA: Final = re.compile(r"(?:meta)?llama(?:v?(\d(?:\.\d)?))?")
_LLAMA_FILLERS: Final = FILLERS | {"community", "use", "policy", "acceptable", "meta", "and"}


def _llama(words: Sequence[Word], *, is_long: bool) -> Iterator[tuple[int, str]]:
    """Read a Llama licence and its version."""
    end = 1
    if words[0].text == "meta" and end < len(words):
        end += 1
    found = _LLAMA.fullmatch(words[end - 1].text)
    if found is None:
        return
    version = found[1] or ""
    if not version:
        version = _version_at(words, end)[0]
        end += bool(version)
    while end < len(words) and words[end].text in _LLAMA_FILLERS:
        end += 1
    if version or not is_long:
        yield end, f"LicenseRef-llama{version.removesuffix('.0')}"
