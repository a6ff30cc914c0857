"""The JSON document that an agent gets about its artifact: the handoff.

docs/handoff.schema.json is its contract. Agents are written by others: fields may be added, none is
removed or changes its meaning without a new `VERSION`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.sbom.json_text import to_json
from prefect_mutagen.scanner.sbom.valid_names import with_valid_names

__all__ = ["VERSION", "encode", "handoff_of", "variables_of"]

VERSION: Final = 1


def handoff_of(
    result: ScanResult, parameters: Mapping[str, Any], attempt: int = 1
) -> dict[str, Any]:
    """Return the handoff as JSON-compatible values.

    Args:
        result: The artifact, verified immediately before.
        parameters: Parameters from whoever starts the agent.
        attempt: Which start for these bytes it is; more than 1 where earlier ones were interrupted
            or failed.
    """
    result = with_valid_names(result)
    return {
        "version": VERSION,
        "attempt": attempt,
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
    """Encode a handoff as JSON in UTF-8."""
    return to_json(handoff).encode()


def variables_of(result: ScanResult) -> dict[str, str]:
    """Return environment variables that name the artifact, for agents that do not read JSON.

    A variable is bytes, as a path is, so a local path that is not UTF-8 stands there as it is.
    """
    return {"MUTAGEN_URL": result.url, "MUTAGEN_PIN": result.pin}
