"""Licences as people write them, as SPDX expressions, and as a policy judges them.

What stands in model files is mostly a lower-case slug (``apache-2.0``, ``llama3.1``, ``other``).
A known one becomes its SPDX identifier, an unknown one a ``LicenseRef``; what says nothing becomes
``NOASSERTION``. The raw text stays beside it. Identifiers come from SPDX's list as the package
``packaging`` carries it.
"""

import re
from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

__all__ = ["NOASSERTION", "allows", "denies", "spdx_expression"]

NOASSERTION: Final = "NOASSERTION"
_SILENT: Final = frozenset({"", "unknown", "other", "none", "n/a", "noassertion", "unlicensed"})
_LONGEST: Final = 256
_REFERENCE: Final = re.compile(r"[^A-Za-z0-9.-]+")
_TOKEN: Final = re.compile(r"\s*([()]|[^\s()]+)")


@lru_cache(maxsize=1024)
def spdx_expression(raw: str, name: str = "") -> str:
    """Turn a stated licence into an SPDX expression.

    Args:
        raw: What the file says, for example ``apache-2.0``, ``MIT OR Apache-2.0`` or ``other``.
        name: Name of the licence where the file says ``other``.

    Returns:
        A canonical expression, a ``LicenseRef``, or `NOASSERTION`.
    """
    stated = raw.strip()
    if stated.lower() in _SILENT:
        return _reference(name) if name.strip().lower() not in _SILENT else NOASSERTION
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if len(stated) <= _LONGEST:
        try:
            return str(canonicalize_license_expression(stated))
        except InvalidLicenseExpression:
            pass
    return _reference(stated)


def _reference(text: str) -> str:
    slug = _REFERENCE.sub("-", text.strip()[:_LONGEST]).strip("-.").lower()
    if slug.startswith("licenseref-"):
        slug = slug.removeprefix("licenseref-")
    return f"LicenseRef-{slug}" if slug else NOASSERTION


def allows(allowed: Collection[str], expression: str) -> bool:
    """Say whether a licence may be used: of ``A OR B`` one side is enough, ``A AND B`` needs both.

    Args:
        allowed: Licences as people write them; ``*`` stands for any characters, and an entry that
            is an expression for each licence in it.
        expression: What `spdx_expression` gave.
    """
    is_listed = _listed(tuple(allowed))
    return _evaluate(expression, is_listed)


def denies(denied: Collection[str], expression: str) -> bool:
    """Say whether there is no way to use this without a forbidden licence.

    Args:
        denied: Licences as people write them, as for `allows`.
        expression: What `spdx_expression` gave.
    """
    is_listed = _listed(tuple(denied))
    return not _evaluate(expression, lambda leaf: not is_listed(leaf))


@lru_cache(maxsize=256)
def _listed(entries: tuple[str, ...]) -> Callable[[str], bool]:
    """Make a test for whether a single licence is among these entries."""
    known: set[str] = set()
    patterns: list[str] = []

    def collect(leaf: str) -> bool:
        known.add(leaf.lower())
        return True

    for entry in entries:
        if "*" in entry:
            patterns.append(entry.strip().lower())
        else:
            _evaluate(spdx_expression(entry), collect)

    def is_listed(leaf: str) -> bool:
        lower = leaf.lower()
        slug = lower.removeprefix("licenseref-")
        return lower in known or any(
            fnmatchcase(lower, pattern) or fnmatchcase(slug, pattern) for pattern in patterns
        )

    return is_listed


def _evaluate(expression: str, holds: Callable[[str], bool]) -> bool:
    """Evaluate a canonical expression; AND binds tighter than OR, and WITH tighter than both."""
    tokens = _TOKEN.findall(expression)
    values: list[list[bool]] = [[False, True]]  # for each open bracket: the ORs, and this AND
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token == "(":  # noqa: S105 - a bracket
            values.append([False, True])
            continue
        if token == ")":  # noqa: S105 - a bracket
            ored, anded = values.pop()
            values[-1][1] = values[-1][1] and (ored or anded)
        elif token == "OR":  # noqa: S105 - an operator
            values[-1] = [values[-1][0] or values[-1][1], True]
        elif token != "AND":  # noqa: S105 - an operator
            if tokens[position : position + 1] == ["WITH"]:
                token = " ".join(tokens[position - 1 : position + 2])
                position += 2
            values[-1][1] = values[-1][1] and holds(token)
    ored, anded = values[-1]
    return ored or anded
