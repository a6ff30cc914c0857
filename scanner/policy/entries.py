"""Find entries of a policy that are without effect: blank, misspelt, or of no known value.

A rule that can never match looks like one that nothing violates, so it is refused where it enters.
Names of architectures, kinds and quantizations are open: only what is a slip away from a known name
is taken for a mistake.
"""

import difflib
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from prefect_mutagen.scanner.content.folding import fold
from prefect_mutagen.scanner.content.slips import is_slip

__all__ = [
    "check_digests",
    "check_globals",
    "check_licenses",
    "check_names",
    "check_texts",
    "check_whole_numbers",
    "nearest",
    "says_something",
    "spelled",
]

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_GLOBAL: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\$\{|<%")
_MARKS: Final = re.compile(r"[\W_]+")
_SHORTEST: Final = 4
"""Letters of a name; shorter ones are too much alike."""
_OF_GGUF: Final = re.compile(r"(?:i?q|tq)[\W_]?\d+(?:[\W_]?[a-z0-9]+)*", re.IGNORECASE)
"""A quantization of GGUF, all of which have names that are known."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a "did you mean" suffix for a misspelt name; empty when no known name is close."""
    names = list(known)
    lower = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name, names, 1)
    close = close or [lower[one] for one in difflib.get_close_matches(name.lower(), lower, 1)]
    return f"; did you mean {close[0]}?" if close else ""


def says_something(text: str) -> bool:
    """Whether a reader sees a letter or a digit in a text."""
    return any(map(str.isalnum, fold(text)))


@lru_cache(maxsize=1024)
def spelled(name: str) -> str:
    """Return a name without case and punctuation: ``qwen2_moe`` is ``qwen2moe``."""
    return _MARKS.sub("", fold(name))


def check_texts(field: str, entries: object) -> None:
    """Raise if a field is no list of texts, or an entry is blank or was not filled in.

    Args:
        field: Name of the field, for messages.
        entries: Its value.

    Raises:
        ValueError: An entry is not usable.
    """
    if isinstance(entries, str) or not isinstance(entries, Iterable):
        raise ValueError(f"{field} is not a list: {entries!a}")  # noqa: TRY004 - as pydantic expects
    for entry in entries:
        if not isinstance(entry, str):
            raise ValueError(f"an entry of {field} is not a text: {entry!a}")  # noqa: TRY004
        if not fold(entry).strip():
            raise ValueError(f"an entry of {field} is empty; leave out the field to set no rule")
        if _PLACEHOLDER.search(entry):
            raise ValueError(f"an entry of {field} has a placeholder in it: {entry!a}")
        if entry != entry.strip():
            raise ValueError(f"an entry of {field} begins or ends with a blank: {entry!a}")


def check_licenses(field: str, entries: Iterable[str]) -> None:
    """Raise if no licence can match an entry.

    Args:
        field: Name of the field, for messages.
        entries: Its value.

    Raises:
        ValueError: An entry is without effect.
    """
    for entry in entries:
        if problem := _license_problem(entry):
            raise ValueError(f"an entry of {field} {problem}")


@lru_cache(maxsize=1024)
def _license_problem(entry: str) -> str:
    from prefect_mutagen.scanner.content.license_entries import check_entry  # loads the SPDX list

    return check_entry(entry)


def check_names(field: str, entries: Iterable[str], known: Collection[str]) -> None:
    """Raise if an entry is a misspelt name.

    Args:
        field: Name of the field, for messages.
        entries: Its value.
        known: The names that are known.

    Raises:
        ValueError: An entry is not known, and a slip away from a name that is.
    """
    for entry in entries:
        if "*" in entry or "?" in entry:
            raise ValueError(
                f"an entry of {field} has a wildcard, which it does not take: {entry!a}"
            )
        if problem := _name_problem(entry, frozenset(known)):
            raise ValueError(f"an entry of {field} {problem}")


@lru_cache(maxsize=1024)
def _name_problem(entry: str, known: frozenset[str]) -> str:
    if entry.lower() in {name.lower() for name in known}:
        return ""
    key = spelled(entry)
    keys = {spelled(name): name for name in sorted(known)}
    close = keys.get(key)
    if close is None and len(key) >= _SHORTEST:
        close = next((name for one, name in keys.items() if is_slip(key, one)), None)
    is_of_gguf = _OF_GGUF.fullmatch(entry) is not None and any(map(_OF_GGUF.fullmatch, known))
    if close is None and not is_of_gguf:
        return ""
    hint = f"; did you mean {close}?" if close else nearest(entry, known)
    return f"is no known name: {entry!a}{hint}"


def check_whole_numbers(values: Iterable[tuple[str, object]]) -> None:
    """Raise if a limit is no whole number, or below 0.

    Args:
        values: Names of fields and their values.

    Raises:
        ValueError: A value is not usable.
    """
    for field, value in values:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{field} is not a whole number: {value!a}")  # noqa: TRY004
        if value < 0:
            raise ValueError(f"{field} is less than 0")


def check_globals(names: Iterable[str]) -> None:
    """Raise if an entry of ``allowed_globals`` is no dotted name.

    Raises:
        ValueError: One is none.
    """
    for name in names:
        if not _GLOBAL.fullmatch(name):
            raise ValueError(f"an entry of allowed_globals is no module.name: {name!a}")


def check_digests(field: str, digests: Iterable[str]) -> None:
    """Raise if an entry is no SHA-256 in hexadecimal digits.

    Args:
        field: Name of the field, for messages.
        digests: Its value.

    Raises:
        ValueError: One is none.
    """
    for digest in digests:
        if not _SHA256.fullmatch(digest.lower()):
            raise ValueError(f"an entry of {field} is not a SHA-256: {digest!a}")
