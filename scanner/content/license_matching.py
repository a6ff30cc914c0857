"""Compare licences: with the entries of a policy, and the statements about a model with each other.

Entries are read like statements, so that one licence cannot be denied in one spelling and pass in
another. A licence without a version stands for each of its versions where it is denied, whether the
entry or the model leaves it out, and an allowed entry without a version allows them all; a model
that does not state the version is not allowed by an entry that does.
"""

import re
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Final

from prefect_mutagen.scanner.content.folding import fold
from prefect_mutagen.scanner.content.license_expressions import (
    NOASSERTION,
    TEXT_LIMIT,
    evaluate,
    leaves_of,
)
from prefect_mutagen.scanner.content.license_families import family_of
from prefect_mutagen.scanner.content.license_names import FAMILY_NAMES, MODEL_LICENSES
from prefect_mutagen.scanner.content.license_reading import items_of
from prefect_mutagen.scanner.content.license_words import spell_out
from prefect_mutagen.scanner.content.licenses import spdx_expression

__all__ = ["allows", "are_compatible", "denies", "is_recognized", "listed_versions"]

_MARKS: Final = re.compile(r"[^a-z0-9.+*]+")
_PATTERN_TEXT_LIMIT: Final = 400


def allows(allowed: Collection[str], expression: str) -> bool:
    """Whether an allow list permits a licence: one side of ``A OR B``, both of ``A AND B``.

    Args:
        allowed: Licences in any spelling. ``*`` matches any characters; an entry that is an
            expression lists each licence in it.
        expression: Result of `spdx_expression`.
    """
    return evaluate(expression, _make_matcher(tuple(allowed), denying=False))


def denies(denied: Collection[str], expression: str, stated: str = "") -> bool:
    """Whether every choice that an expression offers includes a denied licence.

    Args:
        denied: Licences in any spelling, as for `allows`.
        expression: Result of `spdx_expression`.
        stated: The licence as stated; patterns are matched with its words as well.
    """
    is_listed = _make_matcher(tuple(denied), denying=True)
    if stated and len(leaves_of(expression)) == 1:
        words = _MARKS.sub("-", fold(stated[:_PATTERN_TEXT_LIMIT])).strip("-")
        if words and is_listed(f"LicenseRef-{words}"):
            return True
        items = items_of(stated[:TEXT_LIMIT]) if not _is_known(expression) else []
        if any(is_listed(leaf) for item in items for leaf in leaves_of(spdx_expression(item))):
            return True
    return not evaluate(expression, lambda leaf: not is_listed(leaf))


def is_recognized(expression: str) -> bool:
    """Whether every licence of an expression is on the SPDX list, or a known model licence."""
    return expression != NOASSERTION and all(map(_is_known, leaves_of(expression)))


def are_compatible(one: str, other: str) -> bool:
    """Whether two statements name the same licences, one perhaps without the version."""
    return all(
        any(_may_be(leaf, candidate) for candidate in leaves_of(second))
        for first, second in ((one, other), (other, one))
        for leaf in leaves_of(first)
    )


@lru_cache(maxsize=256)
def _make_matcher(entries: tuple[str, ...], *, denying: bool) -> Callable[[str], bool]:
    """Return a predicate: whether a single licence matches one of the entries."""
    listed: set[str] = set()
    patterns: set[str] = set()
    for entry in entries:
        if "*" in entry:
            patterns.update(_patterns(entry))
        else:
            listed.update(leaf.lower() for leaf in leaves_of(spdx_expression(entry)))

    def is_listed(leaf: str) -> bool:
        lower = leaf.lower()
        if any(_may_be(lower, one) if denying else _permits(one, lower) for one in listed):
            return True
        return any(
            fnmatchcase(spelling, pattern)
            for spelling in _spellings(lower, denying=denying)
            for pattern in patterns
        )

    return is_listed


def _patterns(entry: str) -> Iterator[str]:
    """Yield the patterns that an entry stands for: as written, and in the words of identifiers."""
    written = _MARKS.sub("-", fold(entry)).strip("-")
    yield written
    spelled = _MARKS.sub("-", spell_out(entry)).strip("-")
    if spelled != written:  # *Creative Commons*NonCommercial*
        yield spelled.replace("-*", "*").replace("*-", "*")
    inner = entry.strip().strip("*")
    leaf = spdx_expression(inner).lower() if inner and "*" not in inner else ""
    if leaf and " " not in leaf and _is_known(leaf):  # CC BY-NC*
        start, end = entry.strip()[0], entry.strip()[-1]
        yield f"{start if start == '*' else ''}{_slug(leaf)}{end if end == '*' else ''}"


def _spellings(lower: str, *, denying: bool) -> Iterator[str]:
    """Yield the forms of a licence that patterns are matched with."""
    slug = _slug(lower)
    yield lower
    yield slug
    # A pattern may be made for what SPDX has replaced: *gpl-3.0.
    yield lower.removesuffix("-only")
    yield f"{lower.removesuffix('-or-later')}+"
    versions = _families().get(slug)
    if versions is not None:
        yield f"{slug}-"
        if denying:
            yield from versions


def _slug(lower: str) -> str:
    return lower.removeprefix("licenseref-")


def _base(lower: str) -> str:
    """Return a licence without its exception and without what it says of later versions."""
    base = _slug(lower).partition(" with ")[0]
    return base.removesuffix("-only").removesuffix("-or-later").removesuffix("+")


@cache
def _families() -> dict[str, tuple[str, ...]]:
    """Return the versions of each licence that people name without one."""
    from packaging.licenses._spdx import LICENSES

    found: dict[str, list[str]] = {name.lower(): [] for name in FAMILY_NAMES}
    found |= {name: [] for name in ("agpl", "bsd", "cc", "gfdl", "gpl", "lgpl")}
    found["llama"] = [f"llama{version}" for version in ("2", "3", "3.1", "3.2", "3.3", "4")]
    for lower in LICENSES:
        family = family_of(lower)
        if family in found or family.startswith("cc-"):
            found.setdefault(family, []).append(lower)
        if lower.startswith("cc-"):
            found["cc"].append(lower)
    return {family: tuple(licenses) for family, licenses in found.items()}


def listed_versions(name: str) -> tuple[str, ...]:
    """Return SPDX's versions of the licence whose name this is, with a version that it lacks."""
    from packaging.licenses._spdx import LICENSES

    family = family_of(name.lower())
    versions = _families().get(family, ()) if family != name.lower() else ()
    return tuple(LICENSES[one]["id"] for one in versions if one in LICENSES)


@cache
def _known_references() -> frozenset[str]:
    return frozenset((*MODEL_LICENSES, *_families(), *_families()["llama"]))


def _is_known(leaf: str) -> bool:
    lower = leaf.lower()
    return not lower.startswith("licenseref-") or _slug(lower) in _known_references()


def _may_be(one: str, other: str) -> bool:
    """Whether two licences may be the same: equal, or one lacks the version of the other."""
    first, second = _base(one.lower()), _base(other.lower())
    families = _families()
    return first == second or any(
        general in families and (specific in families[general] or family_of(specific) == general)
        for general, specific in ((first, second), (second, first))
    )


def _permits(entry: str, leaf: str) -> bool:
    """Whether an allowed licence is this one."""
    if entry == leaf:
        return True
    if entry.startswith("licenseref-") == leaf.startswith("licenseref-") and " with " not in leaf:
        # Whoever may use version 3 may use "version 3 or later".
        return _base(entry) == _base(leaf)
    general = _slug(entry)
    return general != "cc" and general in _families() and family_of(leaf) == general
