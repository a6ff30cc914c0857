"""``spdx3``: an SPDX 3.0.1 document in JSON-LD, with classes of the AI profile.

An artifact is an AIPackage that contains its files. Elements are streamed into one graph. The
document element comes last and lists all of them, so their identifiers are spooled to disk. The
identifiers' namespace is derived from the scan's id.

``profileConformance`` does not include ``ai``, which requires each model's supplier, version and
release time. File headers do not state these.

Source: SPDX 3.0.1 (https://spdx.github.io/spdx-spec/v3.0.1/).
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.addresses import as_uri, base_purl, file_name, file_purl
from prefect_mutagen.scanner.outputs.later import Later
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.remarks import statements
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.results import ObjectResult, Sbom, ScanResult, Summary
from prefect_mutagen.scanner.sbom.document import TOOL_NAME
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["write_spdx3"]

_CONTEXT: Final = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "prefect-mutagen.spdx3")
_CREATION: Final = "_:creationinfo"
_NO_LICENSE: Final = "expandedlicensing_NoAssertionLicense"
_REFERENCE: Final = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_HYPERPARAMETERS: Final = (
    "format",
    "file_size_bytes",
    "parameter_count",
    "quantization",
    "dtype",
    "context_length",
    "vocab_size",
    "training_framework",
)


def write_spdx3(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the document, an element per line; see `scanner.outputs.Writer`."""
    space = f"urn:uuid:{uuid.uuid5(_NAMESPACE, scan.id)}#"
    created = datetime.fromisoformat(scan.started_at).astimezone(UTC)
    creation = {
        "type": "CreationInfo",
        "@id": _CREATION,
        "specVersion": "3.0.1",
        "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "createdBy": [f"{space}agent"],
        "createdUsing": [f"{space}tool"],
    }
    name = f"{TOOL_NAME} {scan.tool_version}"
    with Later() as elements, Later() as roots:
        out.write(f'{{"@context":"{_CONTEXT}",\n"@graph":[\n{to_json(creation)}')

        def write(texts: list[tuple[str, str]]) -> None:
            for ref, text in texts:
                out.write(",\n" + text)
                elements.add(ref)

        agent = _element("SoftwareAgent", f"{space}agent", name=TOOL_NAME)
        tool = _element("Tool", f"{space}tool", name=name)
        write(_texts((agent, tool)))

        def make(result: ScanResult, number: int) -> list[tuple[str, str]]:
            return _texts(_elements(result, f"{space}artifact-{number}"))

        for texts in render_each(results, summary, make):
            roots.add(texts[0][0])
            write(texts)
        bom = _collection("software_Sbom", f"{space}sbom", scan)
        elements.add(to_json(bom["spdxId"]))
        _write_collection(bom | {"software_sbomType": ["analyzed"]}, "rootElement", roots, out)
        document = _collection("SpdxDocument", f"{space}document", scan)
        _write_collection(document | {"rootElement": [bom["spdxId"]]}, "element", elements, out)
        out.write("]}\n")


def _texts(elements: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Serialize elements; each comes with its identifier, also as JSON."""
    return [(to_json(one["spdxId"]), to_json(one)) for one in elements]


def _collection(kind: str, ref: str, scan: ScanInfo) -> dict[str, Any]:
    profiles = ["core", "software", "simpleLicensing"]
    return _element(kind, ref, name=scan.source, profileConformance=profiles)


def _write_collection(element: dict[str, Any], key: str, entries: Later, out: TextIO) -> None:
    out.write(f',\n{to_json(element)[:-1]},"{key}":')
    entries.write_list(out)
    out.write("}")


def _element(kind: str, ref: str, **fields: Any) -> dict[str, Any]:
    """Return an element with its non-empty fields."""
    stated = {name: value for name, value in fields.items() if value}
    return {"type": kind, "spdxId": ref, "creationInfo": _CREATION} | stated


def _relationship(ref: str, kind: str, source: str, targets: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"from": source, "to": targets, "relationshipType": kind}
    return _element("Relationship", ref, **fields)


def _elements(result: ScanResult, root: str) -> Iterator[dict[str, Any]]:
    """Yield the elements of an artifact; all identifiers start with the artifact's own."""
    sbom = result.sbom
    yield _element(
        "ai_AIPackage",
        root,
        name=sbom.model_filename or result.url,
        software_primaryPurpose="model",
        software_downloadLocation=as_uri(result.url),
        software_packageUrl=file_purl(result.url, sbom.model_filename, sbom.sha256),
        software_sourceInfo=sbom.model_path,
        verifiedUsing=_hashes(sbom.sha256),
        ai_typeOfModel=[sbom.architecture] if sbom.architecture else None,
        ai_hyperparameter=list(_entries(sbom)),
    )
    files = list(_files(result, root))
    yield from files
    refs = [element["spdxId"] for element in files]
    yield _relationship(f"{root}/contains", "contains", root, refs)
    yield from _license(result, root)
    if sbom.base_model:
        base = f"{root}/base-model"
        purl = base_purl(sbom.base_model)
        yield _element(
            "ai_AIPackage",
            base,
            name=sbom.base_model,
            software_primaryPurpose="model",
            software_packageUrl=purl,
        )
        yield _relationship(f"{root}/descendant-of", "descendantOf", root, [base])
    yield from _annotations(result, root)


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"type": "Hash", "algorithm": "sha256", "hashValue": sha256}] if sha256 else []


def _entries(sbom: Sbom) -> Iterator[dict[str, str]]:
    for name in _HYPERPARAMETERS:
        value = getattr(sbom, name)
        if value is not None:
            yield {"type": "DictionaryEntry", "key": name, "value": str(value)}


def _files(result: ScanResult, root: str) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(result.objects, 1):
        yield _element(
            "software_File",
            f"{root}/file-{number}",
            name=file_name(item.url) or item.url,
            software_primaryPurpose="model",
            software_fileKind="file",
            verifiedUsing=_hashes(_sha256(item, result)),
        )


def _sha256(item: ObjectResult, result: ScanResult) -> str:
    sbom = item.sbom or (result.sbom if result.kind == "file" else None)
    return sbom.sha256 if sbom is not None else ""


def _license(result: ScanResult, root: str) -> Iterator[dict[str, Any]]:
    """Yield the declared licence; concluding one is left to a legal review."""
    declared, expression = _NO_LICENSE, result.license_spdx
    if expression is not None and expression != NOASSERTION:
        declared = f"{root}/license"
        names = dict.fromkeys(_REFERENCE.findall(expression))
        texts = {name: f"{declared}-text-{number}" for number, name in enumerate(names, 1)}
        yield _element(
            "simplelicensing_LicenseExpression",
            declared,
            simplelicensing_licenseExpression=expression,
            simplelicensing_customIdToUri=[
                {"type": "DictionaryEntry", "key": name, "value": ref}
                for name, ref in texts.items()
            ],
        )
        for name, ref in texts.items():
            yield _element(
                "simplelicensing_SimpleLicensingText",
                ref,
                name=name,
                simplelicensing_licenseText=result.sbom.license or name,
            )
    for kind, target in (("Declared", declared), ("Concluded", _NO_LICENSE)):
        ref = f"{root}/{kind.lower()}-license"
        yield _relationship(ref, f"has{kind}License", root, [target])


def _annotations(result: ScanResult, root: str) -> Iterator[dict[str, Any]]:
    stated = {
        "kind": result.kind,
        "pin": result.pin or None,
        "sbom_id": result.sbom_id,
        "license": result.sbom.license,
        "header_sha256": result.header_sha256 or None,
        "sha256_source": result.sha256_source or None,
        "verdict": result.verdict.status,
        "drift": result.drift,
        "sources": dict(result.sources),
        "facts": dict(result.facts),
        "loads": dict(result.loads),
        "metadata": dict(result.sbom.metadata),
    }
    yield _annotation(f"{root}/stated", root, to_json(stated), "application/json")
    for number, text in enumerate(statements(result), 1):
        yield _annotation(f"{root}/annotation-{number}", root, text, "text/plain")


def _annotation(ref: str, subject: str, statement: str, content: str) -> dict[str, Any]:
    return _element(
        "Annotation",
        ref,
        annotationType="other",
        subject=subject,
        statement=statement,
        contentType=content,
    )
