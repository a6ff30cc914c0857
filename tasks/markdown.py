"""Values from files in Markdown and in names of artifacts: every special character is escaped."""

import hashlib
import re
from typing import Final

from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ScanResult

__all__ = ["artifact_key", "plain", "waived_lines"]

_SPECIAL: Final = re.compile(r"[\\`*_\[\]|~!#<>&:@]")
# Prefect's newer UI also links addresses in the rendered text, where escapes are gone.
_LINKED: Final = re.compile(r"(?i)(?<=http)(?=s?://)|(?<=www)(?=\.)|(?<=@)")
_JOINER: Final = "\u2060"
"""WORD JOINER: invisible, not a line break, and ends an address."""
_ENTITIES: Final = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def plain(text: str, width: int = 300) -> str:
    """Escape a value for Markdown."""
    return _SPECIAL.sub(
        lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"),
        _LINKED.sub(_JOINER, visible(text, width)),
    )


def artifact_key(name: str, source: str) -> str:
    """Return the key of a Prefect artifact, distinct for every root."""
    slug = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")[-40:].strip("-")
    digest = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return "-".join(part for part in (name, slug, digest) if part)


def waived_lines(result: ScanResult) -> list[str]:
    """Return the waived reasons of an artifact as nested list items."""
    return [
        f"    * {reason.code}: {plain(reason.message)}; {plain(reason.value)}"
        for reason in result.verdict.waived
    ]
