"""What an agent is handed about its artifact; docs/handoff.schema.json is the contract for it.

Agents are written by others: fields are added, and none is taken away or changes its meaning. A
change that breaks this would be another `VERSION`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["VERSION", "encode", "handoff_of", "variables_of"]

VERSION: Final = 1


def handoff_of(result: ScanResult, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an agent is told, as values that JSON has.

    Args:
        result: The artifact, verified immediately before.
        parameters: What whoever starts the agent adds for it.
    """
    return {
        "version": VERSION,
        "url": result.url,
        "pin": result.pin,
        "sbom": result.sbom.to_dict(),
        "findings": [asdict(finding) for finding in result.findings],
        "verdict": {
            "status": result.verdict.status,
            "reasons": [asdict(reason) for reason in result.verdict.reasons],
            "waived": [asdict(reason) for reason in result.verdict.waived],
        },
        "parameters": dict(parameters),
    }


def encode(handoff: Mapping[str, Any]) -> bytes:
    """Write it as JSON in UTF-8."""
    return to_json(handoff).encode()


def variables_of(result: ScanResult) -> dict[str, str]:
    """Give the variables in which an agent finds its artifact without reading JSON."""
    return {"MUTAGEN_URL": result.url, "MUTAGEN_PIN": result.pin}
