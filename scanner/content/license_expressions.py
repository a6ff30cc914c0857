"""Combine and evaluate SPDX licence expressions."""

import re
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["NOASSERTION", "TEXT_LIMIT", "evaluate", "join_licenses", "leaves_of"]

NOASSERTION: Final = "NOASSERTION"
TEXT_LIMIT: Final = 1 << 16
"""Longest text that is read as a licence; the longest licences have half of it."""
_TOKEN: Final = re.compile(r"\s*([()]|[^\s()]+)")


def join_licenses(expressions: Iterable[str]) -> str:
    """Return the expression of licences that apply together; `NOASSERTION` if there are none."""
    found = list(dict.fromkeys(one for one in expressions if one != NOASSERTION))
    if len(found) < 2:
        return found[0] if found else NOASSERTION
    parts: list[str] = []
    for one in found:
        if " OR " in one:
            parts.append(f"({one})")
        else:
            parts += one.split(" AND ")
    return " AND ".join(dict.fromkeys(parts))


def leaves_of(expression: str) -> list[str]:
    """Return the single licences of an expression, in its order."""
    leaves: list[str] = []

    def collect(leaf: str) -> bool:
        leaves.append(leaf)
        return True

    evaluate(expression, collect)
    return leaves


def evaluate(expression: str, holds: Callable[[str], bool]) -> bool:
    """Evaluate an expression of licences for which something holds or not.

    WITH binds tighter than AND, and AND tighter than OR.
    """
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
