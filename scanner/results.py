"""Records of a scan: one result per artifact, a summary, and their form in the JSON report.

The report (``--format report``) is the contract for tools. Readers must accept unknown keys. A
value that is not known is null.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple

from prefect_mutagen.scanner.census import Census, Role
from prefect_mutagen.scanner.findings import Finding, is_of_unseen
from prefect_mutagen.scanner.pins import is_weak
from prefect_mutagen.scanner.verdicts import Status, Subject, Verdict

__all__ = [
    "STATED",
    "Change",
    "Drift",
    "Kind",
    "ObjectResult",
    "Sbom",
    "ScanResult",
    "Summary",
    "Tally",
]

Kind = Literal["file", "set"]
"""Whether an artifact is one file, or a set of shards that form one model."""

Drift = Literal["added", "changed", "removed", "unchanged", "left-out"]
"""Change of an artifact since the previous scan. ``left-out`` occurs in the table only: the
artifact is known but outside the scan's selection."""

STATED: Final = (
    "architecture",
    "parameter_count",
    "quantization",
    "dtype",
    "context_length",
    "vocab_size",
    "license",
    "base_model",
    "training_framework",
)
"""SBOM fields whose value comes from a source, in document order."""

_COMPLETENESS_FIELDS: Final = (
    "generated_at",
    "tool_name",
    "tool_version",
    "model_path",
    "model_filename",
    "file_size_bytes",
    "sha256",
    "format",
    *STATED,
)


@dataclass(frozen=True, slots=True)
class Sbom:
    """The 20 fields of the l-bom document, in its order."""

    sbom_version: str
    generated_at: str
    """Time of the scan in ISO 8601, UTC."""
    tool_name: str
    tool_version: str
    model_path: str
    """Absolute path of a local file, else the address."""
    model_filename: str
    file_size_bytes: int
    sha256: str
    """SHA-256 of the whole object, in hexadecimal; empty if unknown."""
    format: str
    """``gguf``, ``safetensors`` or ``unknown``."""
    architecture: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    dtype: str | None = None
    context_length: int | None = None
    vocab_size: int | None = None
    license: str | None = None
    """Verbatim from its source."""
    base_model: str | None = None
    training_framework: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Metadata of the header, as JSON values."""
    warnings: tuple[str, ...] = ()
    """The notice that no hash was computed, if so, then the message of each error finding."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order, as JSON values."""
        document = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        document["metadata"] = dict(self.metadata)
        document["warnings"] = list(self.warnings)
        return document


class Tally(NamedTuple):
    """One artifact's contribution to the summary."""

    status: Status
    objects: int
    bytes_read: int
    requests: int
    passed_over: tuple[Role, int, int] | None = None
    """Role, number and bytes of its files, if they were to be examined and could not be."""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One file of an artifact."""

    url: str
    size: int
    """Size in bytes; -1 if unknown."""
    pin: str
    sbom: Sbom | None = None
    """Document of this file, if the artifact has several."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference from the previous scan."""

    field: str
    """What changed: a column of the table, ``status``, or ``object:`` or ``neighbour:`` and a file
    name."""
    before: str
    """Previous value as text, truncated; empty if there was none."""
    after: str
    """New value as text, truncated; empty if there is none."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Result of scanning one artifact."""

    url: str
    """Address of its file; of a set's index, else of its first shard."""
    kind: Kind
    pin: str
    """Digest that identifies its files and the files that describe them."""
    objects: tuple[ObjectResult, ...]
    sbom: Sbom
    license_spdx: str | None
    """Licence as an SPDX expression; None if none is stated."""
    sources: Mapping[str, str]
    """Source of each stated SBOM field."""
    facts: Mapping[str, Any]
    """Facts beyond the SBOM's fields; see `scanner.content.details`."""
    header_sha256: str
    """SHA-256 of the header's bytes, which covers metadata and layout; empty if not computed."""
    sha256_source: str
    """Source of the SBOM's sha256; empty if unknown."""
    findings: tuple[Finding, ...]
    verdict: Verdict
    drift: Drift | None = None
    """Change since the previous scan; None without one."""
    modified: float | None = None
    """Last modification in seconds since the epoch, if storage reports it."""
    bytes_read: int = 0
    requests: int = 0
    neighbours: Mapping[str, str] | None = None
    """Pins of the files that describe it, by name; None if not recorded."""
    drift_details: tuple[Change, ...] = ()
    """Differences from the previous scan."""
    loads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Files that each loader opens, renders or runs with its weights, in the loader's order, by
    path relative to the model's root."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the local files that were read to their end, by ``object:`` and the path below
    the folder of its address, or ``neighbour:`` and a name: their change times alone say little."""

    @property
    def size(self) -> int:
        """Total size of its files in bytes."""
        return sum(max(0, item.size) for item in self.objects)

    @property
    def passed(self) -> bool:
        """Whether the verdict is ``passed``, so that agents may start."""
        return self.verdict.status == "passed"

    @property
    def sbom_id(self) -> str:
        """Identifier of its document, determined by artifact, pin and tool version.

        Other bytes can have the same weak pin, so the header counts there, too.
        """
        key = f"{self.url}\0{self.pin}\0{self.sbom.tool_version}"
        if is_weak(self.pin):
            key += f"\0{self.header_sha256}"
        return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def tally(self) -> Tally:
        """Return its contribution to the summary."""
        counts = self.verdict.status, len(self.objects), self.bytes_read, self.requests
        if self.was_examined:
            return Tally(*counts)
        role: Role = self.facts.get("role") or "weights"
        return Tally(*counts, (role, len(self.objects), self.size))

    @property
    def was_examined(self) -> bool:
        """Whether the contents of its files were judged."""
        return not any(
            is_of_unseen(finding.code)
            and (finding.severity == "error" or finding.field == "content")
            for finding in self.findings
        )

    def subject(self) -> Subject:
        """Return the input for a policy decision."""
        return Subject(
            findings=self.findings,
            size_bytes=self.size,
            format=self.sbom.format,
            architecture=self.sbom.architecture,
            parameter_count=self.sbom.parameter_count,
            quantization=self.sbom.quantization,
            license_spdx=self.license_spdx,
            # A set has no digest of its own; its source is set if every shard has one.
            sha256=self.sbom.sha256 or self.sha256_source,
            url=self.url,
            base_model=self.sbom.base_model,
            facts=self.facts,
            examined_at=self.sbom.generated_at,
            loads=self.loads,
            files=tuple(item.url for item in self.objects),
        )

    def to_report(self) -> dict[str, Any]:
        """Return its entry in the report."""
        return {
            "url": self.url,
            "kind": self.kind,
            "pin": self.pin or None,
            "objects": [_object(item) for item in self.objects],
            "sbom": self.sbom.to_dict(),
            "license_spdx": self.license_spdx,
            "sources": dict(self.sources),
            "facts": dict(self.facts),
            "completeness": {
                "stated": sum(
                    1 for name in _COMPLETENESS_FIELDS if getattr(self.sbom, name) not in (None, "")
                ),
                "of": len(_COMPLETENESS_FIELDS),
            },
            "loads": {loader: list(files) for loader, files in self.loads.items()},
            "header_sha256": self.header_sha256 or None,
            "sha256_source": self.sha256_source or None,
            "findings": [_finding(finding) for finding in self.findings],
            "verdict": {
                "status": self.verdict.status,
                "reasons": [asdict(reason) for reason in self.verdict.reasons],
                "waived": [asdict(reason) for reason in self.verdict.waived],
            },
            "drift": self.drift,
            "drift_details": [asdict(change) for change in self.drift_details],
        }


def _object(item: ObjectResult) -> dict[str, Any]:
    entry: dict[str, Any] = {"url": item.url, "size": item.size, "pin": item.pin or None}
    if item.sbom is not None:
        entry["sbom"] = item.sbom.to_dict()
    return entry


def _finding(finding: Finding) -> dict[str, Any]:
    entry = asdict(finding)
    order = ("code", "severity", "offset", "field", "url", "message", "hint")
    return {name: entry[name] for name in order}


_COUNTS: Final = (
    "artifacts",
    "objects",
    "passed",
    "failed",
    "unknown",
    "bytes_read",
    "requests",
)


@dataclass(slots=True)
class Summary:
    """Running totals of a scan."""

    artifacts: int = 0
    objects: int = 0
    passed: int = 0
    failed: int = 0
    unknown: int = 0
    bytes_read: int = 0
    requests: int = 0
    finished_at: str = ""
    census: Census = field(default_factory=Census)
    """All listed objects by role, and whether they were examined."""
    drift: Counter[str] = field(default_factory=Counter)
    """Numbers of artifacts by `Drift`; empty without a previous scan to compare with."""

    def add(self, result: ScanResult) -> None:
        """Add a result to the totals."""
        self.count(result.tally())

    def count(self, tally: Tally) -> None:
        """Add an artifact's tally to the totals."""
        self.artifacts += 1
        self.objects += tally.objects
        self.bytes_read += tally.bytes_read
        self.requests += tally.requests
        if tally.passed_over is not None:
            self.census.pass_over(*tally.passed_over)
        setattr(self, tally.status, getattr(self, tally.status) + 1)

    def add_counts(self, other: "Summary") -> None:
        """Add the counts of another summary, except for its census and its drift."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def correct(self, before: Status, after: Status) -> None:
        """Replace the verdict of an artifact that was already counted."""
        if before != after:
            setattr(self, before, getattr(self, before) - 1)
            setattr(self, after, getattr(self, after) + 1)

    @property
    def all_passed(self) -> bool:
        """Whether every artifact passed."""
        return self.passed == self.artifacts

    def to_report(self) -> dict[str, Any]:
        """Return the ``summary`` object of the report."""
        counts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return counts | {"census": self.census.to_report(), "drift": dict(self.drift) or None}
