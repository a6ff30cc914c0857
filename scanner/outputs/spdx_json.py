"""``spdx-json``: the same SPDX 2.3 document as JSON.

Packages are streamed, one per line. The format has all relationships in one list, so they are kept
in memory until the end.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TextIO

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
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["write_spdx_json"]


def write_spdx_json(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the document; see `scanner.outputs.Writer`."""
    document = SpdxDocument(results, scan)
    head = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT_ID,
        "name": document.name,
        "documentNamespace": document.namespace,
        "creationInfo": {"created": document.created, "creators": [document.creator]},
    }
    relationships: list[Relationship] = []

    def package_texts(described: Described) -> list[str]:
        return [to_json(_package(package, document)) for package in described.packages]

    def packages() -> Iterator[str]:
        for described, texts in document.render(summary, package_texts):
            relationships.extend(described.relationships)
            yield from texts
        relationships.extend(document.empty_relationships())

    out.write(to_json(head)[:-1])
    _write_list(out, "packages", packages())
    _write_list(out, "relationships", map(to_json, map(_relationship, relationships)))
    licenses = map(to_json, map(_license, document.licenses()))
    _write_list(out, "hasExtractedLicensingInfos", licenses)
    out.write("}\n")


def _write_list(out: TextIO, name: str, entries: Iterable[str]) -> None:
    out.write(f',\n "{name}": [')
    between = "\n  "
    for entry in entries:
        out.write(between + entry)
        between = ",\n  "
    out.write("]")


def _package(package: Package, document: SpdxDocument) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": package.name, "SPDXID": package.id}
    if package.version:
        entry["versionInfo"] = package.version
    if package.file_name:
        entry |= {"packageFileName": package.file_name, "primaryPackagePurpose": "FILE"}
    entry |= {"downloadLocation": package.download_location, "filesAnalyzed": False}
    if package.source_info:
        entry["sourceInfo"] = package.source_info
    entry |= {
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": package.license_declared,
        "copyrightText": NOASSERTION,
    }
    if package.sha256:
        entry["checksums"] = [{"algorithm": "SHA256", "checksumValue": package.sha256}]
    if package.purls:
        entry["externalRefs"] = [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
            for purl in package.purls
        ]
    if package.annotations:
        entry["annotations"] = [
            {
                "annotator": document.creator,
                "annotationDate": document.created,
                "annotationType": annotation.kind,
                "comment": annotation.comment,
            }
            for annotation in package.annotations
        ]
    return entry


def _relationship(relationship: Relationship) -> dict[str, str]:
    return {
        "spdxElementId": relationship.element,
        "relationshipType": relationship.kind,
        "relatedSpdxElement": relationship.related,
    }


def _license(licence: ExtractedLicense) -> dict[str, Any]:
    entry: dict[str, Any] = {"licenseId": licence.id, "extractedText": licence.text}
    if licence.name:
        entry["name"] = licence.name
    if licence.link:
        entry["seeAlsos"] = [licence.link]
    return entry
