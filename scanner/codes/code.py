"""The definition of a finding code."""

from typing import NamedTuple

from prefect_mutagen.parsers import Severity

__all__ = ["Code"]


class Code(NamedTuple):
    """Severity, meaning and remedy of a finding code.

    A code never changes its meaning and is never used again.
    """

    severity: Severity
    meaning: str
    remedy: str
