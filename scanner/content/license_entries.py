"""Find entries of a policy that no licence can match: they would be without effect unnoticed.

A policy may name licences that nobody else knows, so only what is a letter away from a known name
is refused. As ``LicenseRef-`` and a name, any entry is taken at its word.
"""

import re
from typing import Final

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION, leaves_of
from prefect_mutagen.scanner.content.license_matching import is_recognized
from prefect_mutagen.scanner.content.license_spelling import known_names
from prefect_mutagen.scanner.content.license_words import spell_out
from prefect_mutagen.scanner.content.licenses import spdx_expression

__all__ = ["check_entry"]

_REFERENCE: Final = "licenseref-"
_MARKS: Final = re.compile(r"licen[cs]es?|[^a-z0-9]+")
_SHORTEST: Final = 5
"""Letters of a name; shorter ones are too much alike."""


def check_entry(entry: str) -> str:
    """Return as a clause why an entry can have no effect; empty if it can.

    Args:
        entry: An entry of ``allowed_licenses`` or ``denied_licenses``.
    """
    if "*" in entry:
        return ""
    expression = spdx_expression(entry)
    if expression == NOASSERTION:
        return f"names no licence: {entry!a}; for models that state none, there is require_license"
    if entry.strip().lower().startswith(_REFERENCE) or is_recognized(expression):
        return ""
    unknown = (leaf for leaf in leaves_of(expression) if not is_recognized(leaf))
    for name in (entry, *(leaf.removeprefix("LicenseRef-") for leaf in unknown)):
        near = _nearest(name)
        if near:
            return (
                f"is no known licence: {name!a}; did you mean {near}? Write LicenseRef-NAME for a "
                "licence of your own of that name"
            )
    return ""


def _nearest(name: str) -> str:
    """Return the known licence from which a name differs by one letter; empty if there is none."""
    key = _MARKS.sub("", spell_out(name))
    if len(key) < _SHORTEST:
        return ""
    known = known_names()
    for candidate, license_id in known.items():
        if abs(len(candidate) - len(key)) < 2 and _is_slip(key, candidate):
            return license_id.removeprefix("LicenseRef-")
    return ""


def _is_slip(one: str, other: str) -> bool:
    """Whether two words differ by a letter: wrong, missing, too much, or two in the wrong order.

    Other digits are another version, and a letter more at the end another name.
    """
    if _digits(one) != _digits(other) or one.startswith(other) or other.startswith(one):
        return False
    start = next((n for n, two in enumerate(zip(one, other, strict=False)) if two[0] != two[1]), 0)
    first, second = one[start:], other[start:]
    if len(first) != len(second):
        return first[1:] == second or first == second[1:]
    return first[1:] == second[1:] or (first[2:] == second[2:] and first[:2] == second[1::-1])


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
