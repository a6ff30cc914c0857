"""Verify a model right before it is loaded: in-process, without Prefect."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from prefect_mutagen.scanner.examine.engine import examine_artifacts
from prefect_mutagen.scanner.examine.examiner import Examiner
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.counting import Counting
from prefect_mutagen.scanner.listing.listing import list_artifacts, root_of
from prefect_mutagen.scanner.listing.unnamed import Looked
from prefect_mutagen.scanner.pins import TOUCHING, WEAK, WEAKNESS, is_local_pin, is_weak
from prefect_mutagen.scanner.policy.overrides import each_policy
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ObjectResult, ScanResult
from prefect_mutagen.scanner.storage.address import Address
from prefect_mutagen.scanner.storage.hashing import HashLevel
from prefect_mutagen.scanner.storage.opening import open_store
from prefect_mutagen.scanner.storage.store import Store
from prefect_mutagen.scanner.verdicts import Reason, Verdict

__all__ = ["ArtifactRejected", "Known", "Verified", "verify", "verify_root", "verify_store"]


class ArtifactRejected(Exception):  # noqa: N818 - named for what happened, as callers read it
    """An artifact did not pass, or is not the one that was pinned.

    Attributes:
        url: The artifact.
        reasons: The policy's reasons.
        places: The file or artifact that each reason is about.
        findings: All findings.
        result: The examination, if there was one.
    """

    def __init__(
        self,
        url: str,
        reasons: tuple[Reason, ...],
        result: ScanResult | None,
        places: tuple[str, ...] = (),
    ) -> None:
        """Store the facts that the message is made from."""
        super().__init__(url, reasons, result, places)
        self.url = url
        self.reasons = reasons
        self.places = places or (url,) * len(reasons)
        self.result = result
        self.findings: tuple[Finding, ...] = result.findings if result is not None else ()

    def __str__(self) -> str:
        """Return what was rejected, which of its files, and why, in one sentence."""
        base = self.url.rstrip("/") + "/"
        said = []
        for place, reason in zip(self.places, self.reasons, strict=True):
            message = reason.message.removeprefix(f"{place}: ")
            said.append(message if place == self.url else f"{place.removeprefix(base)}: {message}")
        return f"{self.url} is rejected: " + "; ".join(said)


class Known(Protocol):
    """What earlier scans found below one address, for the same policy."""

    looked: Looked
    """Files that were looked into because their names say nothing."""

    def find_passed(self, store: Store, artifact: Artifact) -> ScanResult | None:
        """Return the result of an artifact that passes and need not be read again, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """An artifact that passed."""

    result: ScanResult
    """The examination; a folder of several artifacts is examined as one set."""
    waived: tuple[tuple[str, Reason], ...]
    """Reasons that were waived, each with the file or artifact it is about."""
    artifacts: int = 1
    """How many there are."""
    known: int = 0
    """How many of them earlier scans had examined, so that nothing of them was read."""


def verify(
    url: str,
    pin: str | None = None,
    policy: Policy | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> ScanResult:
    """Check that an artifact passes and still has its pinned bytes.

    Args:
        url: A model file, or a folder in which everything has to pass.
        pin: Pin of an earlier scan; None accepts any bytes that pass.
        policy: What to accept. If it requires a SHA-256 that storage does not have, or a signature
            over bytes that were not hashed, every byte is read.
        storage_options: Options for fsspec's file system.

    Returns:
        The examination. A folder of several artifacts is examined as one set, with the findings
        of all.

    Raises:
        ArtifactRejected: It does not pass, cannot be examined, does not match the pin
            (``storage/other-pin``), or there is no model (``storage/not-found``).
        StorageError: The address is blank, or the root cannot be reached.
        ValueError: The pin is blank, or signatures of the policy's signers cannot be verified
            here.
    """
    return verify_root(url, pin, policy, storage_options).result


def verify_root(
    url: str | Address,
    pin: str | None = None,
    policy: Policy | None = None,
    storage_options: Mapping[str, Any] | None = None,
    known: Known | None = None,
) -> Verified:
    """Check everything below a root, and report which waivers applied; see `verify`."""
    address = Address.parse(url)
    root, only = root_of(address)
    store = open_store(root, storage_options)
    return verify_store(store, pin, policy, only=only, known=known)


def verify_store(
    store: Store,
    pin: str | None = None,
    policy: Policy | None = None,
    *,
    only: str = "",
    known: Known | None = None,
) -> Verified:
    """Check everything in an open store; see `verify`.

    Args:
        store: The root.
        pin: Pin of an earlier scan; None accepts any bytes that pass.
        policy: What to accept.
        only: Address of the one artifact to check, such as that of a pipeline; empty: all.
        known: What earlier scans found there; None: everything is examined.
    """
    if pin is not None and not pin.strip():
        raise ValueError("the pin is empty; leave it out (None) to accept any bytes that pass")
    accepted = policy or Policy()
    url = store.root
    strict = any(one.require_sha256 or one.allowed_signers for one in each_policy(accepted))
    # Stated digests cost next to nothing, and conflicting ones reject a model here as in a scan,
    # where "stored" is the default too.
    level: HashLevel = "lookup" if strict else "stored"
    looked = known.looked if known is not None else None
    listed = partial(list_artifacts, store, only=only, counting=Counting(url, None, looked))
    results, unread = _examine(store, accepted, level, listed, known)
    if pin is not None and [one.url for one in results] == [url] and results[0].pin != pin:
        # A scan below the model's root took nothing from the folders above its own root.
        alone = partial(listed, above=False)
        others, also_unread = _examine(store, accepted, level, alone, known)
        if [one.pin for one in others] == [pin]:
            results, listed, unread = others, alone, also_unread
    if any(_lacks_sha256(result) for result in results):
        # What the policy requires is missing or unproven: compute it.
        results, unread = _examine(store, accepted, "full", listed, None)
    if not results:
        reason = Reason("storage/not-found", "", "none", "there is no model in this folder")
        raise ArtifactRejected(url, (reason,), None)
    result = results[0] if len(results) == 1 else _as_set(url, results)
    rejections = [
        (place, reason) for one in results for place, reason in _with_places(one, waived=False)
    ]
    # What was not examined has no pin to compare.
    if pin is not None and result.verdict.status != "unknown":
        rejections[:0] = [(result.url, reason) for reason in _compare_pin(pin, result)]
    if rejections or not result.passed:
        reasons = tuple(reason for _, reason in rejections)
        raise ArtifactRejected(result.url, reasons, result, tuple(place for place, _ in rejections))
    waived = tuple(found for one in results for found in _with_places(one, waived=True))
    return Verified(result, waived, len(results), unread)


def _compare_pin(pin: str, result: ScanResult) -> Iterator[Reason]:
    """Yield why an artifact is not known to be what was pinned."""
    if is_weak(pin) or is_weak(result.pin):
        message = f"{WEAKNESS}, or leave the pin out"
        yield Reason("storage/weak-pin", "", result.pin, message)
    elif pin != result.pin:
        local = any(is_local_pin(item.pin) for item in result.objects)
        times = f", or their change times do ({TOUCHING})" if local else ""
        message = f"its bytes differ from the pinned ones{times}; their pin is {result.pin}"
        yield Reason("storage/other-pin", "", result.pin, message)


def _with_places(result: ScanResult, *, waived: bool) -> Iterator[tuple[str, Reason]]:
    """Yield each reason with the file it is about: that of its finding, or the artifact."""
    left = list(result.findings)
    for reason in result.verdict.waived if waived else result.verdict.reasons:
        place = result.url
        for number, finding in enumerate(left):
            # The message of a waived reason starts with the waiver.
            if finding.code == reason.code and reason.message.endswith(finding.message):
                place = left.pop(number).url or place
                break
        yield place, reason


def _examine(
    store: Store,
    policy: Policy,
    level: HashLevel,
    listed: Callable[[], Iterable[Artifact]],
    known: Known | None,
) -> tuple[list[ScanResult], int]:
    """Return the results of all artifacts in the order of the listing, and how many were known."""
    places: dict[str, int] = {}
    passed: list[ScanResult] = []

    def unknown() -> Iterator[Artifact]:
        for artifact in listed():
            places[artifact.url] = len(places)
            found = known.find_passed(store, artifact) if known is not None else None
            if found is None:
                yield artifact
            else:
                passed.append(found)

    policy = replace(policy, owner_tag="")  # whose it is, is for the table; it decides nothing
    results = list(examine_artifacts(store, unknown(), Examiner(policy, level)))
    if passed:
        results = sorted([*results, *passed], key=lambda result: places[result.url])
    return results, len(passed)


def _lacks_sha256(result: ScanResult) -> bool:
    missing = any(reason.code == "policy/sha256-missing" for reason in result.verdict.reasons)
    return missing or any(finding.code == "signature/unbound" for finding in result.findings)


def _as_set(url: str, results: list[ScanResult]) -> ScanResult:
    """Combine the artifacts of a folder into one result, which passes if all of them do."""
    first = results[0]
    reasons = tuple(reason for result in results for reason in result.verdict.reasons)
    waived = tuple(reason for result in results for reason in result.verdict.waived)
    statuses = {result.verdict.status for result in results}
    status = next(name for name in ("unknown", "failed", "passed") if name in statuses)
    lines = "\n".join(f"{result.url}\0{result.pin}" for result in results)
    digest = hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
    weak = WEAK if any(is_weak(result.pin) for result in results) else ""
    counts = [result.sbom.parameter_count for result in results]
    sbom = replace(
        first.sbom,
        model_path=url,
        model_filename=url.rstrip("/").rpartition("/")[2],
        file_size_bytes=sum(result.size for result in results),
        parameter_count=sum(count or 0 for count in counts) or None,
        sha256="",
        metadata={},
        warnings=tuple(warning for result in results for warning in result.sbom.warnings),
    )
    return replace(
        first,
        url=url,
        kind="set",
        pin=f"{weak}sha256:{digest}",
        objects=tuple(
            ObjectResult(item.url, item.size, item.pin, result.sbom)
            for result in results
            for item in result.objects
        ),
        sbom=sbom,
        facts={},
        header_sha256="",
        sha256_source="",
        findings=tuple(finding for result in results for finding in result.findings),
        verdict=Verdict(status, reasons, waived),
    )
