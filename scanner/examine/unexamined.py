"""Results for artifacts that were not examined because the scanner itself failed.

An internal error costs only the artifact it occurred in: the result claims nothing, its verdict is
unknown, and the scan goes on. The result has no pin, so the next scan examines the artifact again.
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

__all__ = ["guarded", "internal_error"]


def internal_error(of: Artifact | ScanResult, problem: Exception, doing: str) -> ScanResult:
    """Turn an exception into the result of the artifact it occurred in, and log its location.

    Args:
        of: The artifact, or its result so far.
        problem: The exception. Callers catch only `Exception`: cancellation and interrupts must
            end the scan.
        doing: The activity, such as "examining".
    """
    return _unexamined(of, CODE, log_fault(problem, doing, of.url))


async def guarded(work: Coroutine[Any, Any, ScanResult], artifact: Artifact) -> ScanResult:
    """Run an examination; an exception becomes the artifact's result.

    Args:
        work: The examination.
        artifact: The artifact.
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
