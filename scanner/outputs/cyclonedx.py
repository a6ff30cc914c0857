"""``cyclonedx``: a CycloneDX ML-BOM in JSON, for one artifact or a whole scan.

Every artifact is a component of type ``machine-learning-model``; a set of shards is one component
with its files nested in it. Facts without a field in the standard become properties named
``mutagen:...``, because ``modelParameters`` allows no other keys. Findings are annotations.

Components are streamed. The format has all annotations in one list at the end, so they are spooled
to disk until then.

Source: the CycloneDX specification 1.6 and 1.7 (https://cyclonedx.org/docs/).
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TextIO

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.addresses import base_purl, file_name, file_purl
from prefect_mutagen.scanner.outputs.later import Later
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.remarks import statements
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.results import STATED, ObjectResult, Sbom, ScanResult, Summary
from prefect_mutagen.scanner.sbom.document import TOOL_NAME
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["Component", "make_component", "write_bom", "write_cyclonedx"]

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "prefect-mutagen.cyclonedx")
# Without the architecture, which has a field of its own.
_PROPERTIES: Final = ("file_size_bytes", "format", *STATED[1:])


def write_cyclonedx(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,
) -> None:
    """Write the BOM, a component per line; see `scanner.outputs.Writer`."""
    parts = render_each(results, summary, partial(make_component, scan))
    write_bom(parts, scan, out, options.cyclonedx_version, summary)
    out.write("\n")


class Component(NamedTuple):
    """An artifact's component and annotations, as JSON."""

    text: str
    annotations: tuple[str, ...]


def make_component(scan: ScanInfo, result: ScanResult, number: int) -> Component:
    """Build the component of an artifact.

    Args:
        scan: The scan it belongs to.
        result: The artifact's result.
        number: Its position in the BOM, from 1.
    """
    ref = f"artifact-{number}"
    annotations = (
        {
            "bom-ref": f"{ref}/annotation-{place}",
            "subjects": [ref],
            "annotator": {"component": _tool(scan)},
            "timestamp": scan.started_at,
            "text": text,
        }
        for place, text in enumerate(statements(result), 1)
    )
    text = to_json(_component(result, ref))
    return Component(text, tuple(map(to_json, annotations)))


def _tool(scan: ScanInfo) -> dict[str, str]:
    return {"type": "application", "name": TOOL_NAME, "version": scan.tool_version}


def write_bom(
    components: Iterable[Component],
    scan: ScanInfo,
    out: TextIO,
    version: str,
    summary: Summary | None = None,
) -> None:
    """Stream one BOM of all artifacts.

    Args:
        components: The components of the artifacts.
        scan: The scan; its id determines the serial number.
        out: The stream to write to. Nothing is written after the closing brace.
        version: Version of the specification, ``1.6`` or ``1.7``.
        summary: Counts of the scan, for its census; None: the document has none.
    """
    head = {
        "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, scan.id)}",
        "version": 1,
        "metadata": {
            "timestamp": scan.started_at,
            "tools": {"components": [_tool(scan)]},
            "properties": [
                {"name": "mutagen:scan:id", "value": scan.id},
                {"name": "mutagen:scan:source", "value": scan.source},
            ],
        },
    }
    with Later() as annotations:
        out.write(to_json(head)[:-1] + ',\n"components":[')
        between = "\n"
        for component in components:
            out.write(between + component.text)
            between = ",\n"
            for annotation in component.annotations:
                annotations.add(annotation)
        out.write('],\n"annotations":')
        annotations.write_list(out)
        census = [] if summary is None else list(_census(summary))
        out.write(f',\n"properties":{to_json(census)}}}' if census else "}")


def _census(summary: Summary) -> Iterator[dict[str, str]]:
    """Yield what the census counts, as properties."""
    for row in summary.census.rows:
        name = f"mutagen:census:{row.role}:{row.state}"
        yield {"name": f"{name}:objects", "value": str(row.objects)}
        yield {"name": f"{name}:bytes", "value": str(row.bytes)}


def _component(result: ScanResult, ref: str) -> dict[str, Any]:
    sbom = result.sbom
    component = {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": sbom.model_filename or result.url,
        "hashes": _hashes(sbom.sha256),
        "licenses": _licenses(result.license_spdx),
        "purl": file_purl(result.url, sbom.model_filename, sbom.sha256),
        "pedigree": _pedigree(sbom.base_model),
        "components": _files(result, ref),
        "evidence": {"occurrences": [{"location": sbom.model_path or result.url}]},
        "modelCard": _model_card(result),
        "properties": list(_properties(result)),
    }
    return {name: value for name, value in component.items() if value}


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}] if sha256 else []


def _licenses(expression: str | None) -> list[dict[str, Any]]:
    """Return the declared licence; only an identifier on the SPDX list may be a ``license.id``."""
    if expression is None or expression == NOASSERTION:
        return []
    if (
        expression.startswith("LicenseRef-")
        or not expression.replace("-", "").replace(".", "").isalnum()
    ):
        return [{"expression": expression, "acknowledgement": "declared"}]
    return [{"license": {"id": expression, "acknowledgement": "declared"}}]


def _pedigree(base_model: str | None) -> dict[str, Any] | None:
    if not base_model:
        return None
    ancestor = {"type": "machine-learning-model", "name": base_model}
    purl = base_purl(base_model)
    return {"ancestors": [ancestor | {"purl": purl} if purl else ancestor]}


def _files(result: ScanResult, ref: str) -> list[dict[str, Any]]:
    """Return the components of a set's files; a single file is its artifact's component."""
    if result.kind == "file":
        return []
    return [_file(item, f"{ref}/file-{number}") for number, item in enumerate(result.objects, 1)]


def _file(item: ObjectResult, ref: str) -> dict[str, Any]:
    name = file_name(item.url) or item.url
    sha256 = item.sbom.sha256 if item.sbom is not None else ""
    stated = {"file_size_bytes": item.size if item.size >= 0 else None, "pin": item.pin}
    if item.sbom is not None:
        stated |= _stated(item.sbom)
    component = {
        "type": "file",
        "bom-ref": ref,
        "name": name,
        "hashes": _hashes(sha256),
        "purl": file_purl(item.url, name, sha256),
        "evidence": {"occurrences": [{"location": item.url}]},
        "properties": list(_named("mutagen:", stated)),
    }
    return {name: value for name, value in component.items() if value}


def _model_card(result: ScanResult) -> dict[str, Any]:
    config = result.sbom.metadata.get("sidecar_config")
    names = config.get("architectures") if isinstance(config, Mapping) else None
    stated = {
        "task": result.facts.get("pipeline"),
        "architectureFamily": result.sbom.architecture,
        "modelArchitecture": names[0] if isinstance(names, list) and names else None,
    }
    parameters = {name: value for name, value in stated.items() if isinstance(value, str) and value}
    return {"modelParameters": parameters} if parameters else {}


def _properties(result: ScanResult) -> Iterator[dict[str, str]]:
    own = {
        "kind": result.kind,
        "pin": result.pin,
        "sbom_id": result.sbom_id,
        "license_spdx": result.license_spdx,
        "header_sha256": result.header_sha256,
        "sha256_source": result.sha256_source,
        "verdict": result.verdict.status,
        "drift": result.drift,
    }
    yield from _named("mutagen:", _stated(result.sbom) | own)
    yield from _named("mutagen:source:", result.sources)
    yield from _named("mutagen:fact:", result.facts)
    yield from _named("mutagen:loads:", result.loads)
    yield from _named("mutagen:metadata:", result.sbom.metadata)


def _stated(sbom: Sbom) -> dict[str, Any]:
    return {name: getattr(sbom, name) for name in _PROPERTIES}


def _named(prefix: str, values: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield properties; their values must be strings, so other types are encoded as JSON."""
    for name, value in values.items():
        if value is not None and value != "":
            yield {"name": prefix + name, "value": _text(value)}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else to_json(value)
