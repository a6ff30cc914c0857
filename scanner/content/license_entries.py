"""Find entries of a policy that no licence can match: they would be without effect unnoticed.

A policy may name licences that nobody else knows, so only what is a letter away from a known name
is refused. As ``LicenseRef-`` and a name, any entry is taken at its word.
"""

import difflib
import re
from typing import Final

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION, leaves_of
from prefect_mutagen.scanner.content.license_matching import is_recognized, listed_versions
from prefect_mutagen.scanner.content.license_spelling import known_names
from prefect_mutagen.scanner.content.license_words import spell_out
from prefect_mutagen.scanner.content.licenses import spdx_expression
from prefect_mutagen.scanner.content.slips import is_slip

__all__ = ["check_entry"]

_REFERENCE: Final = "licenseref-"
_MARKS: Final = re.compile(r"licen[cs]es?|[^a-z0-9]+")
_WORDS: Final = frozenset(("yes", "no", "true", "false", "on", "off"))
_GLUED_VERSION: Final = re.compile(r"(?<=[a-z])(?=\d)", re.IGNORECASE)
_SHORTEST: Final = 5
"""Letters of a name; shorter ones are too much alike."""


def check_entry(entry: str) -> str:
    """Return as a clause why an entry can have no effect; empty if it can.

    Args:
        entry: An entry of ``allowed_licenses`` or ``denied_licenses``.
    """
    if "*" in entry:
        return _pattern_problem(entry)
    expression = spdx_expression(entry)
    if expression == NOASSERTION or entry.lower() in _WORDS:
        return f"names no licence: {entry!a}; for models that state none, there is require_license"
    if entry.strip().lower().startswith(_REFERENCE) or is_recognized(expression):
        return ""
    unknown = [leaf for leaf in leaves_of(expression) if not is_recognized(leaf)]
    names = (entry, *(leaf.removeprefix("LicenseRef-") for leaf in unknown))
    for near in filter(None, map(_version_near, names)):
        return _unknown(entry, near)
    for name in names:
        near = _nearest(name)
        if near:
            return _unknown(name, near)
    return ""


def _unknown(name: str, near: str) -> str:
    return (
        f"is no known licence: {name!a}; did you mean {near}? Write LicenseRef-NAME for a licence "
        "of your own of that name"
    )


def _version_near(name: str) -> str:
    """Return the nearest version of a licence that SPDX lists without this one; empty if none."""
    versions = listed_versions(_GLUED_VERSION.sub("-", "-".join(name.split())))
    return (difflib.get_close_matches(name, versions, 1, 0.0) or ("",))[0]


def _pattern_problem(pattern: str) -> str:
    """Return as a clause why no licence can match a pattern."""
    if not _MARKS.sub("", pattern.replace("*", "")):
        return ""
    start = pattern.partition("*")[0]
    key = _MARKS.sub("", spell_out(start))
    if len(key) < _SHORTEST:
        return ""
    known = known_names()
    if any(name.startswith(key) for name in known):
        return ""
    near = next(
        (
            one
            for name, one in known.items()
            if is_slip(key, name[: len(key)]) and len(name) > len(key)
        ),
        "",
    )
    return _unknown(pattern, near.removeprefix("LicenseRef-")) if near else ""


def _nearest(name: str) -> str:
    """Return the known licence from which a name differs by one letter; empty if there is none."""
    key = _MARKS.sub("", spell_out(name))
    if len(key) < _SHORTEST:
        return ""
    known = known_names()
    for candidate, license_id in known.items():
        if is_slip(key, candidate):
            return license_id.removeprefix("LicenseRef-")
    return ""
