"""Compare a scan with the one before."""

from collections.abc import Mapping
from dataclasses import replace

from prefect_mutagen import __version__
from prefect_mutagen.scanner.artifacts import Artifact
from prefect_mutagen.scanner.hashing import HashLevel
from prefect_mutagen.scanner.judge import is_too_old, judge
from prefect_mutagen.scanner.policy_fields import Policy
from prefect_mutagen.scanner.results import Drift, ScanResult
from prefect_mutagen.scanner.storage import storable

__all__ = ["drift_of", "reuse"]


def drift_of(result: ScanResult, before: Mapping[str, ScanResult]) -> Drift:
    """Say what became of an artifact since the scan before."""
    known = before.get(storable(result.url))
    if known is None:
        return "added"
    return "unchanged" if known.pin == result.pin else "changed"


def reuse(
    artifact: Artifact, before: Mapping[str, ScanResult], policy: Policy, hash_level: HashLevel
) -> ScanResult | None:
    """Take over the result of the scan before, judged anew; nothing is read.

    Args:
        artifact: What the listing shows now.
        before: Results of the scan before, by address.
        policy: What is accepted now.
        hash_level: How much is paid for SHA-256 values now.

    Returns:
        The result; None when the artifact has to be examined: it is new, its pin is another one or
        unknown, this tool is another version, it could not be examined the last time, that was
        longer ago than the policy allows, or its bytes are to be hashed and were not yet.
    """
    known = before.get(storable(artifact.url))
    if (
        known is None
        or not artifact.pin
        or known.pin != artifact.pin
        or known.sbom.tool_version != __version__
        or known.verdict.status == "unknown"
        or is_too_old(known.sbom.generated_at, policy)
        or (hash_level == "full" and known.sha256_source != "computed")
    ):
        return None
    verdict = judge(known.subject(), policy)
    return replace(known, verdict=verdict, drift="unchanged", bytes_read=0, requests=0)
