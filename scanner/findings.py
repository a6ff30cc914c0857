"""Findings, and the table of all finding codes with their severity, meaning and remedy.

The documentation is generated from this table. A code never changes its meaning.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from prefect_mutagen.parsers import RULES, HeaderError, Severity
from prefect_mutagen.scanner.codes.code import Code
from prefect_mutagen.scanner.codes.content import CONTENT_CODES
from prefect_mutagen.scanner.codes.policy import POLICY_CODES
from prefect_mutagen.scanner.codes.remote_code import REMOTE_CODE_CODES
from prefect_mutagen.scanner.codes.sets import SET_CODES
from prefect_mutagen.scanner.codes.storage import STORAGE_CODES

__all__ = ["CODES", "Finding", "from_header", "is_of_unseen", "make_finding"]

_UNSEEN: Final = ("storage/", "scan/")
_LIMITS: Final = frozenset(
    {
        "gguf/header-too-large",
        "safetensors/too-complex",
        "pickle/unexamined",
        "set/unexamined",
        "weights/unexamined",
        "weights/named-only",
    }
)


CODES: Final = MappingProxyType(
    {code: Code(rule.severity, rule.meaning, rule.remedy) for code, rule in RULES.items()}
    | STORAGE_CODES
    | SET_CODES
    | CONTENT_CODES
    | REMOTE_CODE_CODES
    | POLICY_CODES
)
"""Every finding code, including those of the header readers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of an artifact, or observation about it."""

    code: str
    """Stable identifier, such as ``gguf/truncated``."""
    severity: Severity
    message: str
    """One sentence: what, where, what was expected. Safe to display anywhere."""
    url: str = ""
    """Address of the object concerned."""
    offset: int | None = None
    """File offset of the faulty field, if there is one."""
    field: str = ""
    """Name of the faulty field, in the format's terms."""
    hint: str = ""
    """What to do about it."""


def make_finding(code: str, message: str, *, url: str = "", field: str = "") -> Finding:
    """Return a finding for one of the scanner's own codes.

    Raises:
        KeyError: There is no such code: a bug, not a bad file.
    """
    definition = CODES[code]
    return Finding(code, definition.severity, message, url, None, field, definition.remedy)


def is_of_unseen(code: str) -> bool:
    """Whether a finding says that an artifact's own files were not examined.

    Args:
        code: Code of an error, or of an observation about its content.
    """
    return code.startswith(_UNSEEN) or code in _LIMITS


def from_header(error: HeaderError, url: str) -> Finding:
    """Convert a header reader's error to a finding."""
    return Finding(
        error.code,
        error.severity,
        str(error),
        url,
        error.offset,
        error.field,
        CODES[error.code].remedy,
    )
