"""``spdx``: a streamed SPDX 2.3 document in tag-value format.

A value is either one line or enclosed in ``<text>`` and ``</text>``. The format has no escape for
the closing tag, nor for a line start that parsers take for a keyword. Both are therefore written
like control characters, as the character's code point.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.spdx_document import (
    DOCUMENT_ID,
    Described,
    ExtractedLicense,
    Package,
    Relationship,
    SpdxDocument,
)
from prefect_mutagen.scanner.results import ScanResult, Summary

__all__ = ["write_spdx"]

_MARK: Final = re.compile(r"<(?=/?text>)", re.IGNORECASE)
# A value that starts like this, or is a keyword of the format, is parsed as something else.
_RESERVED: Final = re.compile(
    r"\s|(?:Tool|Person|Organization|ADLER32|BLAKE[\w-]+|MD\d|SHA[\d-]+):|\d{4}-\d\d-\d\dT"
    r"|(?:NONE|NOASSERTION|(?:SPDX|Package|File|Files|License|Snippet|Document|Data|External|Creat"
    r"|Annotat|Relationship|Extracted|Primary|Built|Release|Valid)[A-Za-z]*)$"
)


def write_spdx(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the document; see `scanner.outputs.Writer`."""
    document = SpdxDocument(results, scan)
    tags = [
        ("SPDXVersion", "SPDX-2.3"),
        ("DataLicense", "CC0-1.0"),
        ("SPDXID", DOCUMENT_ID),
        ("DocumentName", _line(document.name)),
        ("DocumentNamespace", document.namespace),
        ("Creator", document.creator),
        ("Created", document.created),
    ]
    out.writelines(_lines(tags))
    parts = document.render(summary, lambda described: "".join(_described(described, document)))
    out.writelines("\n" + text for _, text in parts)
    for relationship in document.empty_relationships():
        out.write("\n")
        out.writelines(_lines([_relationship(relationship)]))
    for licence in document.licenses():
        out.write("\n")
        out.writelines(_lines(_license(licence)))


def _described(described: Described, document: SpdxDocument) -> Iterator[str]:
    yield from _lines(map(_relationship, described.relationships))
    for package in described.packages:
        yield from _lines(_package(package))
        yield from _lines(_annotations(package, document))


def _relationship(entry: Relationship) -> tuple[str, str]:
    return "Relationship", f"{entry.element} {entry.kind} {entry.related}"


def _package(package: Package) -> Iterator[tuple[str, str]]:
    yield "PackageName", _line(package.name)
    yield "SPDXID", package.id
    if package.version:
        yield "PackageVersion", _line(package.version)
    if package.file_name:
        yield "PackageFileName", _line(package.file_name)
        yield "PrimaryPackagePurpose", "FILE"
    yield "PackageDownloadLocation", package.download_location
    yield "FilesAnalyzed", "false"
    if package.source_info:
        yield "PackageSourceInfo", _text(package.source_info)
    yield "PackageLicenseConcluded", NOASSERTION
    yield "PackageLicenseDeclared", package.license_declared
    yield "PackageCopyrightText", NOASSERTION
    if package.sha256:
        yield "PackageChecksum", f"SHA256: {package.sha256}"
    for purl in package.purls:
        yield "ExternalRef", f"PACKAGE-MANAGER purl {purl}"


def _annotations(package: Package, document: SpdxDocument) -> Iterator[tuple[str, str]]:
    for annotation in package.annotations:
        yield "Annotator", document.creator
        yield "AnnotationDate", document.created
        yield "AnnotationType", annotation.kind
        yield "SPDXREF", package.id
        yield "AnnotationComment", _text(annotation.comment)


def _license(licence: ExtractedLicense) -> Iterator[tuple[str, str]]:
    yield "LicenseID", licence.id
    yield "ExtractedText", _text(licence.text)
    if licence.name:
        yield "LicenseName", _line(licence.name)
    if licence.link:
        yield "LicenseCrossReference", licence.link


def _lines(tags: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"{tag}: {value}\n" for tag, value in tags)


def _text(value: str) -> str:
    return f"<text>{_unmarked(value)}</text>"


def _line(value: str) -> str:
    value = _unmarked(value)
    return f"\\x{ord(value[0]):02x}{value[1:]}" if _RESERVED.match(value) else value


def _unmarked(value: str) -> str:
    # This is also the correct escape inside the JSON of an annotation.
    return _MARK.sub(r"\\u003c", value)
