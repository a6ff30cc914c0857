"""What sources state beyond the SBOM's fields, for the formats that have a place for it."""

from typing import Literal

from prefect_mutagen.scanner.results import Sbom, ScanResult

__all__ = ["license_detail", "metadata_text"]


def metadata_text(sbom: Sbom, key: str) -> str | None:
    """Read a text of the header's metadata; None for anything else, and for nothing."""
    value = sbom.metadata.get(key)
    if isinstance(value, dict) and value.get("type") == "string":
        value = value["head"]  # too long to be kept whole
    return value.strip() or None if isinstance(value, str) else None


def license_detail(result: ScanResult, part: Literal["name", "link"]) -> str:
    """Read the name or the link of a licence that has no identifier; empty when not stated.

    The header and the model card beside it are asked, in this order, as for the licence itself.
    """
    own = metadata_text(result.sbom, f"license_{part}")  # in ``__metadata__`` of safetensors
    stated = result.facts.get(f"license_{part}")
    return own or (stated if isinstance(stated, str) else "")
