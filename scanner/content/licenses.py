"""Convert stated licences to SPDX expressions, and evaluate them against a policy.

Model files mostly state a lower-case slug (``apache-2.0``, ``llama3.1``, ``other``). A known one
becomes its SPDX identifier, an unknown one a ``LicenseRef``, an uninformative one ``NOASSERTION``.
The raw text is kept beside it. Identifiers come from the SPDX list in the package ``packaging``.
"""

import re
from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

__all__ = ["NOASSERTION", "allows", "denies", "spdx_expression"]

NOASSERTION: Final = "NOASSERTION"
_UNINFORMATIVE: Final = frozenset(
    {"", "unknown", "other", "none", "n/a", "noassertion", "unlicensed"}
)
_LENGTH_LIMIT: Final = 256
_NOT_IN_REFERENCE: Final = re.compile(r"[^A-Za-z0-9.-]+")
_TOKEN: Final = re.compile(r"\s*([()]|[^\s()]+)")


@lru_cache(maxsize=1024)
def spdx_expression(raw: str, name: str = "") -> str:
    """Convert a stated licence to an SPDX expression.

    Args:
        raw: Licence as stated, for example ``apache-2.0``, ``MIT OR Apache-2.0`` or ``other``.
        name: Name of the licence, used if ``raw`` is uninformative.

    Returns:
        A canonical expression, a ``LicenseRef``, or `NOASSERTION`.
    """
    stated = raw.strip()
    if stated.lower() in _UNINFORMATIVE:
        return _license_ref(name) if name.strip().lower() not in _UNINFORMATIVE else NOASSERTION
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if len(stated) <= _LENGTH_LIMIT:
        try:
            return str(canonicalize_license_expression(stated))
        except InvalidLicenseExpression:
            pass
    return _license_ref(stated)


def _license_ref(text: str) -> str:
    slug = _NOT_IN_REFERENCE.sub("-", text.strip()[:_LENGTH_LIMIT]).strip("-.").lower()
    if slug.startswith("licenseref-"):
        slug = slug.removeprefix("licenseref-")
    return f"LicenseRef-{slug}" if slug else NOASSERTION


def allows(allowed: Collection[str], expression: str) -> bool:
    """Whether an allow list permits a licence: one side of ``A OR B``, both of ``A AND B``.

    Args:
        allowed: Licences in any spelling. ``*`` matches any characters; an entry that is an
            expression lists each licence in it.
        expression: Result of `spdx_expression`.
    """
    is_listed = _make_matcher(tuple(allowed))
    return _evaluate(expression, is_listed)


def denies(denied: Collection[str], expression: str) -> bool:
    """Whether every choice that an expression offers includes a denied licence.

    Args:
        denied: Licences in any spelling, as for `allows`.
        expression: Result of `spdx_expression`.
    """
    is_listed = _make_matcher(tuple(denied))
    return not _evaluate(expression, lambda leaf: not is_listed(leaf))


@lru_cache(maxsize=256)
def _make_matcher(entries: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a predicate: whether a single licence matches one of the entries."""
    identifiers: set[str] = set()
    patterns: list[str] = []

    def collect(leaf: str) -> bool:
        identifiers.add(leaf.lower())
        return True

    for entry in entries:
        if "*" in entry:
            patterns.append(entry.strip().lower())
        else:
            _evaluate(spdx_expression(entry), collect)

    def is_listed(leaf: str) -> bool:
        lower = leaf.lower()
        slug = lower.removeprefix("licenseref-")
        return lower in identifiers or any(
            fnmatchcase(lower, pattern) or fnmatchcase(slug, pattern) for pattern in patterns
        )

    return is_listed


def _evaluate(expression: str, holds: Callable[[str], bool]) -> bool:
    """Evaluate a canonical expression; WITH binds tighter than AND, and AND tighter than OR."""
    tokens = _TOKEN.findall(expression)
    values: list[list[bool]] = [[False, True]]  # per open bracket: the OR so far, the current AND
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
