"""A scan as an SPDX 2.3 document: the records that ``spdx`` and ``spdx-json`` write down.

One document whatever the number of artifacts, and one package per artifact; a set's files are named
in its annotation, because a file of SPDX's own kind needs a SHA-1 that nobody computes here. What
SPDX has no field for stands in one annotation, as JSON. The licence is what is declared; nothing is
concluded. Document: https://spdx.github.io/spdx-spec/v2.3/
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final
from urllib.parse import quote

from prefect_mutagen.scanner.content.licenses import NOASSERTION
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.stated import license_detail
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import STATED, ObjectResult, Sbom, ScanResult
from prefect_mutagen.scanner.sbom.document import TOOL_NAME
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = [
    "DOCUMENT_ID",
    "Annotation",
    "Described",
    "ExtractedLicense",
    "Package",
    "Relationship",
    "SpdxDocument",
]

DOCUMENT_ID: Final = "SPDXRef-DOCUMENT"

_LINE: Final = 1000
_TEXT: Final = 1 << 16
_NOT_IN_AN_ID: Final = re.compile(r"[^A-Za-z0-9.-]+")
_LICENSE_REF: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
# What the specification's readers take for an address: a host with a domain.
_WEB: Final = re.compile(r"https?://[a-z0-9]+(?:[-.][a-z0-9]+)*\.[a-z]{2,}(?:[:/]|$)", re.ASCII)
_REST: Final = (
    "file_size_bytes",
    "format",
    *STATED,
    "metadata",
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something said about a package."""

    kind: str
    """``OTHER`` for facts, ``REVIEW`` for findings."""
    comment: str


@dataclass(frozen=True, slots=True)
class Package:
    """A model."""

    id: str
    name: str
    version: str = ""
    """Empty where none is stated; nothing is read out of a file's name."""
    file_name: str = ""
    download_location: str = NOASSERTION
    source_info: str = ""
    license_declared: str = NOASSERTION
    sha256: str = ""
    purls: tuple[str, ...] = ()
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Relationship:
    """How an element stands to another one."""

    element: str
    kind: str
    related: str
    """Id of an element, or ``NONE``."""


@dataclass(frozen=True, slots=True)
class ExtractedLicense:
    """A licence that SPDX's list does not have, as the models state it."""

    id: str
    text: str
    name: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """What one more artifact adds to the document."""

    packages: tuple[Package, ...]
    relationships: tuple[Relationship, ...]
    licenses: tuple[ExtractedLicense, ...] = ()
    """Licences that its packages refer to and no package before did."""
    base: str = ""
    """The base model that it describes for the first time."""


class SpdxDocument:
    """One document about one scan; its packages come as the scan goes.

    Only licences and base models are kept until the end, each once.
    """

    def __init__(self, results: Iterable[ScanResult], scan: ScanInfo) -> None:
        """Look at the first two results, which the document's name depends on."""
        remaining = iter(results)
        first = list(islice(remaining, 2))
        self.results = chain(first, remaining)
        """All of them."""
        self._empty = not first
        names = [result.sbom.model_filename for result in first]
        name = names[0] if len(names) == 1 else scan.source.rstrip("/").rpartition("/")[2]
        self.name = _line(f"{TOOL_NAME}-{name}")
        self.namespace = f"https://spdx.org/spdxdocs/{TOOL_NAME}-{quote(scan.id, safe='')}"
        self.created = _whole_seconds(scan.started_at)
        self.creator = f"Tool: {TOOL_NAME}-{scan.tool_version}"
        self._licenses: dict[str, ExtractedLicense] = {}
        self._bases: dict[str, str] = {}

    def describe(self, result: ScanResult, number: int) -> Described:
        """Make an artifact's package, and that of its base model where it is the first time.

        Args:
            result: What is known about the artifact.
            number: Its place in the document, from 1.

        Returns:
            What it adds; nothing is added before `add`.
        """
        package = _package(result, number)
        packages = [package]
        relations = [Relationship(DOCUMENT_ID, "DESCRIBES", package.id)]
        base = _line(result.sbom.base_model or "")
        first = bool(base) and base not in self._bases
        if base:
            ref = _id("BaseModel", base, number) if first else self._bases[base]
            packages += [Package(ref, base)] if first else []
            relations.append(Relationship(package.id, "DESCENDANT_OF", ref))
        licenses = tuple(self._new_licenses(result, package.license_declared))
        return Described(tuple(packages), tuple(relations), licenses, base if first else "")

    def add(self, described: Described) -> None:
        """Take what an artifact adds, once it is certain that it will be written."""
        for licence in described.licenses:
            self._licenses.setdefault(licence.id, licence)
        if described.base:
            self._bases[described.base] = described.packages[-1].id

    def nothing(self) -> Iterator[Relationship]:
        """Give what stands in the document of a scan without any artifact."""
        if self._empty:
            yield Relationship(DOCUMENT_ID, "DESCRIBES", "NONE")

    def licenses(self) -> Iterable[ExtractedLicense]:
        """Give the licences that the packages refer to; complete once the last one is taken."""
        return self._licenses.values()

    def _new_licenses(self, result: ScanResult, expression: str) -> Iterator[ExtractedLicense]:
        sbom = result.sbom
        name, link = license_detail(result, "name"), license_detail(result, "link")
        parts = (("", sbom.license), ("name: ", name), ("link: ", link))
        stated = "; ".join(f"{label}{value}" for label, value in parts if value)
        for reference in _LICENSE_REF.findall(expression):
            if reference not in self._licenses:
                text = visible(stated, _TEXT)
                yield ExtractedLicense(reference, text, _line(name), _address(link))


def _package(result: ScanResult, number: int) -> Package:
    sbom = result.sbom
    stem, dot, _suffix = sbom.model_filename.rpartition(".")
    version = result.facts.get("version")
    return Package(
        id=_id("Package", sbom.model_filename, number),
        name=_line(stem if stem and dot else sbom.model_filename),
        version=_line(version) if isinstance(version, str) else "",
        file_name=_line(sbom.model_filename),
        download_location=_address(sbom.model_path) or NOASSERTION,
        source_info=_line(sbom.model_path),
        license_declared=result.license_spdx or NOASSERTION,
        sha256=sbom.sha256,
        purls=tuple(_purls(sbom)),
        annotations=tuple(_annotations(result)),
    )


def _annotations(result: ScanResult) -> Iterator[Annotation]:
    sbom = result.sbom
    rest: dict[str, Any] = {name: getattr(sbom, name) for name in _REST}
    rest["sources"] = dict(result.sources)
    rest["facts"] = dict(result.facts)
    rest["header_sha256"] = result.header_sha256 or None
    rest["sha256_source"] = result.sha256_source or None
    if result.kind == "set":
        rest["files"] = [_file(item) for item in result.objects]
    yield Annotation("OTHER", to_json(rest))
    messages = {finding.message for finding in result.findings}
    for warning in sbom.warnings:
        if warning not in messages:
            yield Annotation("REVIEW", visible(warning, _TEXT))
    for finding in result.findings:
        where = f" ({finding.url})" if result.kind == "set" and finding.url else ""
        said = f"{finding.severity} {finding.code}: {finding.message}{where}"
        yield Annotation("REVIEW", visible(said, _TEXT))


def _file(item: ObjectResult) -> dict[str, Any]:
    return {
        "model_path": item.url,
        "file_size_bytes": item.size if item.size >= 0 else None,
        "sha256": (item.sbom.sha256 if item.sbom else "") or None,
    }


def _purls(sbom: Sbom) -> Iterator[str]:
    """Name architecture and quantization the way l-bom does, for those who look them up there."""
    for kind, value in (("architecture", sbom.architecture), ("quantization", sbom.quantization)):
        if value:
            yield f"pkg:generic/llm-{kind}@{quote(visible(value, _LINE), safe='._-')}"


def _address(stated: str) -> str:
    """Give an address as SPDX wants it; empty for any other place."""
    if not _WEB.match(stated):
        return ""
    return quote(visible(stated, _LINE), safe=":/%?#[]@!$&'()*+,;=~")


def _line(value: str) -> str:
    return visible(value, _LINE)


def _id(kind: str, name: str, number: int) -> str:
    """Make an id that no other element has, whatever the names are: the number is its end."""
    slug = _NOT_IN_AN_ID.sub("-", name[:100]).strip("-") or "model"
    return f"SPDXRef-{kind}-{slug}-{number}"


def _whole_seconds(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
