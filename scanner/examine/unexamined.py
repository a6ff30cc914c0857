"""The row of an artifact that was not examined, because the scanner itself failed.

A fault inside one artifact is that artifact's, a fault of ours too: it becomes a row that claims
nothing, its verdict is unknown, and everything else goes on. The row has no pin, so the next scan
examines the artifact again.
"""

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.internal_errors import CODE, log_fault
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ObjectResult, ScanResult
from prefect_mutagen.scanner.sbom.document import Description, build_sbom
from prefect_mutagen.scanner.storage.store import StoredObject
from prefect_mutagen.scanner.verdicts import Reason, Verdict

__all__ = ["crashed", "guarded", "internal_error"]


def internal_error(of: Artifact | ScanResult, problem: Exception, doing: str) -> ScanResult:
    """Turn an exception into the result of the artifact it was met in, and log its place.

    Args:
        of: The artifact, or its result as far as it had come.
        problem: The exception. Only `Exception` is caught for this: who cancels, interrupts or
            ends a scan is not answered with a row.
        doing: What was being done, as "examining" is.
    """
    return _unexamined(of, CODE, log_fault(problem, doing, of.url))


def crashed(artifact: Artifact, reason: str) -> ScanResult:
    """Return the result of an artifact whose task run or process ended before it was examined.

    Args:
        artifact: What was to be examined.
        reason: How it ended, in a word or two.
    """
    return _unexamined(artifact, "scan/crashed", f"the scan of it broke off ({reason})")


async def guarded(work: Coroutine[Any, Any, ScanResult], artifact: Artifact) -> ScanResult:
    """Examine an artifact; what is raised becomes its result.

    Args:
        work: The examination.
        artifact: What is examined.
    """
    try:
        return await work
    except Exception as problem:  # noqa: BLE001 - a bug costs this artifact alone
        return internal_error(artifact, problem, "examining")


def _unexamined(of: Artifact | ScanResult, code: str, message: str) -> ScanResult:
    objects = tuple(ObjectResult(item.url, item.size, "") for item in of.objects)
    size = sum(max(0, item.size) for item in objects)
    now = datetime.now(UTC).isoformat()
    whole = StoredObject(of.url, size, "")
    seen = of if isinstance(of, ScanResult) else None
    return ScanResult(
        url=of.url,
        kind=of.kind,
        pin="",
        objects=objects,
        sbom=build_sbom(Description(), whole, "unknown", "", now, (message,)),
        license_spdx=None,
        sources={},
        facts={},
        header_sha256="",
        sha256_source="",
        findings=(make_finding(code, message, url=of.url),),
        verdict=Verdict("unknown", (Reason(code, "fail_on", "error", message),)),
        bytes_read=seen.bytes_read if seen else 0,
        requests=seen.requests if seen else 0,
    )
