"""An SPDX 2.3 document as records, which ``spdx`` and ``spdx-json`` serialize.

There is one document per scan and one package per artifact. The files of a set are listed in an
annotation, because an SPDX file needs a SHA-1, which is not computed. Facts without an SPDX field
are JSON in the same annotation. Licences are declared, never concluded.

Source: https://spdx.github.io/spdx-spec/v2.3/
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final, TypeVar
from urllib.parse import quote

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.outputs.stated import license_detail
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import STATED, ObjectResult, Sbom, ScanResult, Summary
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
# SPDX validators accept only URLs whose host has a domain.
_WEB: Final = re.compile(r"https?://[a-z0-9]+(?:[-.][a-z0-9]+)*\.[a-z]{2,}(?:[:/]|$)", re.ASCII)
_ANNOTATED: Final = ("file_size_bytes", "format", *STATED, "metadata")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation of a package."""

    kind: str
    """``OTHER`` for facts, ``REVIEW`` for findings."""
    comment: str


@dataclass(frozen=True, slots=True)
class Package:
    """The package of an artifact or a base model."""

    id: str
    name: str
    version: str = ""
    """Empty where none is stated; it is not guessed from the file name."""
    file_name: str = ""
    download_location: str = NOASSERTION
    source_info: str = ""
    license_declared: str = NOASSERTION
    sha256: str = ""
    purls: tuple[str, ...] = ()
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship between two elements."""

    element: str
    kind: str
    related: str
    """Id of an element, or ``NONE``."""


@dataclass(frozen=True, slots=True)
class ExtractedLicense:
    """A licence that is not on the SPDX list, as stated by the model."""

    id: str
    text: str
    name: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """The elements that an artifact adds to the document."""

    packages: tuple[Package, ...]
    relationships: tuple[Relationship, ...]
    licenses: tuple[ExtractedLicense, ...] = ()
    """Licences that no earlier package refers to."""
    base: str = ""
    """The base model, if this is its first occurrence."""


class SpdxDocument:
    """The document of one scan, streamed package by package.

    Only licences and base models are kept in memory until the end, each once.
    """

    def __init__(self, results: Iterable[ScanResult], scan: ScanInfo) -> None:
        """Peek at the first two results, because a single model gives the document its name."""
        remaining = iter(results)
        first = list(islice(remaining, 2))
        self._results = chain(first, remaining)
        self._empty = not first
        names = [result.sbom.model_filename for result in first]
        name = names[0] if len(names) == 1 else scan.source.rstrip("/").rpartition("/")[2]
        self.name = _line(f"{TOOL_NAME}-{name}")
        self.namespace = f"https://spdx.org/spdxdocs/{TOOL_NAME}-{quote(scan.id, safe='')}"
        self.created = _whole_seconds(scan.started_at)
        self.creator = f"Tool: {TOOL_NAME}-{scan.tool_version}"
        self._licenses: dict[str, ExtractedLicense] = {}
        self._bases: dict[str, str] = {}

    def render(
        self, summary: Summary, serialize: Callable[[Described], _T]
    ) -> Iterator[tuple[Described, _T]]:
        """Yield each artifact's elements together with their serialized form.

        Args:
            summary: Corrected where an internal error replaces a result; see `render_each`.
            serialize: Serializes the elements of an artifact; see `rendering.render`.
        """

        def make(result: ScanResult, number: int) -> tuple[Described, _T]:
            described = self._describe(result, number)
            return described, serialize(described)

        for described, text in render_each(self._results, summary, make):
            self._add(described)
            yield described, text

    def _describe(self, result: ScanResult, number: int) -> Described:
        """Build an artifact's package, and its base model's on first occurrence.

        Nothing is registered before `_add`, since rendering may fail and start again.
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

    def _add(self, described: Described) -> None:
        """Register the licences and base model of an artifact that has been rendered."""
        for licence in described.licenses:
            self._licenses.setdefault(licence.id, licence)
        if described.base:
            self._bases[described.base] = described.packages[-1].id

    def empty_relationships(self) -> Iterator[Relationship]:
        """Yield the relationship that a document without packages needs."""
        if self._empty:
            yield Relationship(DOCUMENT_ID, "DESCRIBES", "NONE")

    def licenses(self) -> Iterable[ExtractedLicense]:
        """Return the licences that the packages refer to; complete after the last package."""
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
    facts: dict[str, Any] = {name: getattr(sbom, name) for name in _ANNOTATED}
    facts["sources"] = dict(result.sources)
    facts["facts"] = dict(result.facts)
    facts["loads"] = dict(result.loads)
    facts["header_sha256"] = result.header_sha256 or None
    facts["sha256_source"] = result.sha256_source or None
    if result.kind == "set":
        facts["files"] = [_file(item) for item in result.objects]
    yield Annotation("OTHER", to_json(facts))
    messages = {finding.message for finding in result.findings}
    for warning in sbom.warnings:
        if warning not in messages:
            yield Annotation("REVIEW", visible(warning, _TEXT))
    for finding in result.findings:
        where = f" ({finding.url})" if result.kind == "set" and finding.url else ""
        comment = f"{finding.severity} {finding.code}: {finding.message}{where}"
        yield Annotation("REVIEW", visible(comment, _TEXT))


def _file(item: ObjectResult) -> dict[str, Any]:
    return {
        "model_path": item.url,
        "file_size_bytes": item.size if item.size >= 0 else None,
        "sha256": (item.sbom.sha256 if item.sbom else "") or None,
    }


def _purls(sbom: Sbom) -> Iterator[str]:
    """Yield l-bom's package URLs for architecture and quantization, for tools that use them."""
    for kind, value in (("architecture", sbom.architecture), ("quantization", sbom.quantization)):
        if value:
            yield f"pkg:generic/llm-{kind}@{quote(visible(value, _LINE), safe='._-')}"


def _address(stated: str) -> str:
    """Return a web address as SPDX requires it; empty for anything else."""
    if not _WEB.match(stated):
        return ""
    return quote(visible(stated, _LINE), safe=":/%?#[]@!$&'()*+,;=~")


def _line(value: str) -> str:
    return visible(value, _LINE)


def _id(kind: str, name: str, number: int) -> str:
    """Return an id made unique by the number at its end, whatever the names are."""
    slug = _NOT_IN_AN_ID.sub("-", name[:100]).strip("-") or "model"
    return f"SPDXRef-{kind}-{slug}-{number}"


def _whole_seconds(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
