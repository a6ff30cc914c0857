"""What a scan says: one result per artifact, and the whole truth as one JSON document.

The document (``--format report``) is the contract for tools; readers must accept keys they do not
know. What is not known is null.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple

from prefect_mutagen.scanner.findings import Finding
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
"""Whether an artifact is one file, or a set of files that only make a model together."""

Drift = Literal["added", "changed", "removed", "unchanged", "left-out"]
"""What became of an artifact since the scan before. ``left-out``, in the table alone: it is known,
and this scan was not about it."""

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
"""Fields whose value some source states, in the document's order."""

_ELEMENTS: Final = (
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
    """Time of the scan, ISO 8601, UTC."""
    tool_name: str
    tool_version: str
    model_path: str
    """A local file's absolute path, else the address."""
    model_filename: str
    file_size_bytes: int
    sha256: str
    """Of the whole object, in hexadecimal; empty when it is not known."""
    format: str
    """``gguf``, ``safetensors`` or ``unknown``."""
    architecture: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    dtype: str | None = None
    context_length: int | None = None
    vocab_size: int | None = None
    license: str | None = None
    """As the source writes it."""
    base_model: str | None = None
    training_framework: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the header says, as values that JSON has."""
    warnings: tuple[str, ...] = ()
    """The notice that no hash was computed, then the text of each error finding."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields in their order, lists as lists."""
        document = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        document["metadata"] = dict(self.metadata)
        document["warnings"] = list(self.warnings)
        return document


class Tally(NamedTuple):
    """What the summary counts of one artifact."""

    status: Status
    objects: int
    bytes_read: int
    requests: int


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One file of an artifact."""

    url: str
    size: int
    """Bytes; -1 when nobody says."""
    pin: str
    sbom: Sbom | None = None
    """Its own document, where the artifact has several files."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was in the scan before."""

    field: str
    """What changed: a column of the table, ``status``, or ``object:`` and ``neighbour:`` with the
    name of a file."""
    before: str
    """As text, cut where it is long; empty when there was nothing."""
    after: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """All that is known about one artifact."""

    url: str
    """Its file; for a set its index, else its first shard."""
    kind: Kind
    pin: str
    """What names these very bytes, and what describes them."""
    objects: tuple[ObjectResult, ...]
    sbom: Sbom
    license_spdx: str | None
    """The licence as an SPDX expression; null when none is stated."""
    sources: Mapping[str, str]
    """For each stated field of the SBOM, where its value comes from."""
    facts: Mapping[str, Any]
    """What is stated beyond the SBOM's fields; see `scanner.content.details`."""
    header_sha256: str
    """SHA-256 of the header's bytes: it names metadata and layout. Empty when not computed."""
    sha256_source: str
    """Who states the SBOM's sha256; empty when it is not known."""
    findings: tuple[Finding, ...]
    verdict: Verdict
    drift: Drift | None = None
    """Compared with the scan before; null without one."""
    modified: float | None = None
    """Time of the last change in seconds since 1970, where storage tells."""
    bytes_read: int = 0
    requests: int = 0
    neighbours: Mapping[str, str] | None = None
    """Pins of the files that describe it, by name; null when nobody noted them."""
    drift_details: tuple[Change, ...] = ()
    """What differs from the scan before."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(max(0, item.size) for item in self.objects)

    @property
    def passed(self) -> bool:
        """Whether agents may have it."""
        return self.verdict.status == "passed"

    @property
    def sbom_id(self) -> str:
        """Name of its document: the same for the same artifact, bytes and version of this tool."""
        key = f"{self.url}\0{self.pin}\0{self.sbom.tool_version}"
        return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def tally(self) -> Tally:
        """Give what the summary counts."""
        return Tally(self.verdict.status, len(self.objects), self.bytes_read, self.requests)

    def subject(self) -> Subject:
        """Give what a policy looks at."""
        return Subject(
            findings=self.findings,
            size_bytes=self.size,
            format=self.sbom.format,
            architecture=self.sbom.architecture,
            parameter_count=self.sbom.parameter_count,
            quantization=self.sbom.quantization,
            license_spdx=self.license_spdx,
            # A set has no digest of its own; its source says that every shard has one.
            sha256=self.sbom.sha256 or self.sha256_source,
            url=self.url,
            base_model=self.sbom.base_model,
            facts=self.facts,
            examined_at=self.sbom.generated_at,
        )

    def to_report(self) -> dict[str, Any]:
        """Give the artifact's entry in the report."""
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
                    1 for name in _ELEMENTS if getattr(self.sbom, name) not in (None, "")
                ),
                "of": len(_ELEMENTS),
            },
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


@dataclass(slots=True)
class Summary:
    """Counts that grow with the scan."""

    artifacts: int = 0
    objects: int = 0
    passed: int = 0
    failed: int = 0
    unknown: int = 0
    bytes_read: int = 0
    requests: int = 0
    finished_at: str = ""

    def add(self, result: ScanResult) -> None:
        """Count one more artifact."""
        self.count(result.tally())

    def count(self, tally: Tally) -> None:
        """Count one more artifact by what there is to count of it."""
        self.artifacts += 1
        self.objects += tally.objects
        self.bytes_read += tally.bytes_read
        self.requests += tally.requests
        setattr(self, tally.status, getattr(self, tally.status) + 1)

    def correct(self, before: Status, after: Status) -> None:
        """Count another verdict for an artifact than was counted before."""
        if before != after:
            setattr(self, before, getattr(self, before) - 1)
            setattr(self, after, getattr(self, after) + 1)

    @property
    def all_passed(self) -> bool:
        """Whether nothing failed and nothing stayed unknown."""
        return self.passed == self.artifacts

    def to_report(self) -> dict[str, Any]:
        """Give the report's end."""
        return asdict(self)
