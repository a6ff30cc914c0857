"""What the definition of a finding code is, and the remedies that many codes share."""

from typing import Final, NamedTuple

from prefect_mutagen.parsers.errors import HeaderError, Severity

__all__ = ["FETCH", "FORK", "LIMIT", "LOOK", "REPORT", "REWRITE", "Rule"]


class Rule(NamedTuple):
    """Definition of a finding code."""

    kind: type[HeaderError]
    """Class in the error tree."""
    severity: Severity
    """``error`` fails the verdict; see the policy for ``warning``."""
    meaning: str
    """One sentence for a reader who does not know the format."""
    remedy: str
    """What to do about it."""


FETCH: Final = "Fetch the file again from its source and compare its size or SHA-256."
REWRITE: Final = "Write the file again with a current converter; do not load it."
FORK: Final = "A file for a fork of ggml loads in that fork only: waive this for those who use it."
REPORT: Final = "No action is needed to load the file; report it to the author of the file."
LIMIT: Final = (
    "A limit of this tool: check the file with its loader, and waive this if you trust it."
)
LOOK: Final = "Find out what this file is before anything loads it."
