"""Read stated values that are not SBOM fields, for the formats that have a field for them."""

from collections.abc import Mapping
from typing import Literal

from prefect_mutagen.scanner.results import Sbom, ScanResult

__all__ = ["license_detail", "metadata_text", "stated_sha256"]


def metadata_text(sbom: Sbom, key: str) -> str | None:
    """Return a string of the header's metadata; None if it is missing, empty or not a string."""
    value = sbom.metadata.get(key)
    if isinstance(value, dict) and value.get("type") == "string":
        value = value["head"]  # a long string, of which only the start is kept
    return value.strip() or None if isinstance(value, str) else None


def license_detail(result: ScanResult, part: Literal["name", "link"]) -> str:
    """Return the name or link of a licence without an identifier; empty if not stated.

    The header takes precedence over the model card, as for the licence itself.
    """
    own = metadata_text(result.sbom, f"license_{part}")  # in ``__metadata__`` of safetensors
    stated = result.facts.get(f"license_{part}")
    return own or (stated if isinstance(stated, str) else "")


def stated_sha256(result: ScanResult, url: str) -> Mapping[str, str]:
    """Return the SHA-256 that is only stated for a file, with its source; empty without one."""
    for entry in result.facts.get("stated_sha256", ()):
        if url.endswith(f"/{entry['file']}"):
            return {"sha256": entry["sha256"], "source": entry["source"]}
    return {}
