"""``model-card``: a model card for the Hugging Face Hub, with front matter and a readable body.

It contains only stated facts, each with its source; the rest is listed as not known. The front
matter follows https://huggingface.co/docs/hub/model-cards. A value that the hub would reject there
appears only in the body.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, TextIO

from prefect_mutagen.scanner.content.license_expressions import NOASSERTION
from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.outputs.addresses import file_name
from prefect_mutagen.scanner.outputs.hub_licenses import HUB_LICENSES
from prefect_mutagen.scanner.outputs.markdown import text
from prefect_mutagen.scanner.outputs.model_page import (
    REPOSITORY,
    front_matter,
    only_result,
    place,
    public,
    title,
)
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.rendering import render
from prefect_mutagen.scanner.outputs.stated import license_detail, stated_sha256
from prefect_mutagen.scanner.results import ScanResult, Summary
from prefect_mutagen.scanner.sbom.document import TOOL_NAME
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["write_model_card"]

_RELATIONS: Final = ("adapter", "finetune", "merge", "quantized")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*|code|multilingual")
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9.-]+")
_LICENSE_LINK: Final = re.compile(r"LICENSE(?:\.md)?|https?://[^\s<>\"]+")
_FILES_SHOWN: Final = 20
_FULL_PRECISION: Final = frozenset({"F16", "F32", "F64", "BF16"})
_FACTS: Final = (
    ("Format", "format"),
    ("Architecture", "architecture"),
    ("Parameters", "parameter_count"),
    ("Quantization", "quantization"),
    ("Data type", "dtype"),
    ("Context length", "context_length"),
    ("Vocabulary size", "vocab_size"),
    ("Licence", "license"),
    ("Base model", "base_model"),
    ("Training framework", "training_framework"),
)


def write_model_card(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the card of the scan's only model; see `scanner.outputs.Writer`.

    Raises:
        ValueError: There is not exactly one model.
    """
    result = only_result(results, "model-card")
    shown, page = render(result, lambda one: "".join(_page(one, scan)))
    summary.correct(result.verdict.status, shown.verdict.status)
    out.write(page)


def _page(result: ScanResult, scan: ScanInfo) -> Iterator[str]:
    yield front_matter(_metadata(result))
    yield f"\n# {text(title(result.sbom))}\n\n"
    yield (
        f"Written by `{TOOL_NAME} {scan.tool_version}` from the model's header and the files "
        f"beside it, {text(scan.started_at)}. The weights were not read.\n"
    )
    yield from _table("Facts", ("fact", "value", "source"), _facts(result))
    yield from _table("Also stated", ("fact", "value"), _more(result))
    yield from _table("Loaded with the weights", ("loader", "files"), _loads(result))
    if result.kind == "set":
        yield from _table("Files", ("file", "bytes", "SHA-256"), _files(result))
    yield from _table("Findings", ("severity", "code", "what"), _findings(result))
    verdict = result.verdict
    yield f"\n## Verdict\n\n{text(verdict.status.capitalize())}"
    yield ", under the policy of the scan.\n" if not verdict.reasons else ", because:\n\n"
    reasons = ((reason.code, public(reason.message, result)) for reason in verdict.reasons)
    yield from (f"* {text(code)}: {text(message)}\n" for code, message in reasons)
    if verdict.waived:
        yield "\nAccepted by a waiver of the policy:\n\n"
    for reason in verdict.waived:
        message = public(reason.message, result)
        yield f"* {text(reason.code)}: {text(message)} ({text(reason.value)})\n"
    counts = result.to_report()["completeness"]
    unknown = [label for label, name in _FACTS if getattr(result.sbom, name) in (None, "unknown")]
    hashed = result.sbom.sha256 or stated_sha256(result, result.url)
    unknown += [] if hashed else ["SHA-256"]
    yield f"\n## Not known\n\n{counts['stated']} of {counts['of']} elements are stated.\n"
    if unknown:
        yield f"\n{', '.join(unknown)}: no source states it.\n"


def _metadata(result: ScanResult) -> dict[str, Any]:
    """Return the front matter, in the order of the hub's documentation."""
    sbom, facts = result.sbom, result.facts
    fields = _license(result)
    base = sbom.base_model or ""
    if REPOSITORY.fullmatch(base):
        fields["base_model"] = base
        relation = _relation(result)
        if relation:
            fields["base_model_relation"] = relation
    for key, value in (("library_name", _library(result)), ("pipeline_tag", facts.get("pipeline"))):
        if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
            fields[key] = value
    file_format = None if sbom.format == "unknown" else sbom.format
    own = [file_format, sbom.architecture, sbom.quantization and sbom.quantization.lower()]
    tags = list(dict.fromkeys([*_texts(facts.get("tags")), *(tag for tag in own if tag)]))
    if tags:
        fields["tags"] = tags
    languages = [code for code in _texts(facts.get("languages")) if _LANGUAGE.fullmatch(code)]
    if languages:
        fields["language"] = languages
    return fields


def _license(result: ScanResult) -> dict[str, Any]:
    raw = (result.sbom.license or "").strip()
    known = raw.lower() in HUB_LICENSES
    if known and raw.lower() != "other":
        return {"license": raw.lower()}
    if not known and result.license_spdx in (None, NOASSERTION):
        return {}
    name = license_detail(result, "name") or ("" if known else raw)
    link = license_detail(result, "link")
    fields = {"license": "other"}
    # The hub allows lower-case letters, digits, dots and hyphens; the body has the name as stated.
    slug = _NOT_IN_A_NAME.sub("-", name[:200].lower()).strip("-.")
    if slug:
        fields["license_name"] = slug
    if _LICENSE_LINK.fullmatch(link):
        fields["license_link"] = link
    return fields


def _relation(result: ScanResult) -> str:
    """Return the model's relation to its base model; empty where no source states it.

    ``general.base_model`` of GGUF names the base of the *unquantized* model. So a quantized file
    that states its base only there does not state how it relates to it.
    """
    stated = result.facts.get("relation")
    if stated in _RELATIONS:
        return str(stated)
    if result.facts.get("adapter"):
        return "adapter"
    beside = not result.sources.get("base_model", "gguf:").startswith("gguf:")
    quantization = result.sbom.quantization
    return "quantized" if beside and quantization and quantization not in _FULL_PRECISION else ""


def _library(result: ScanResult) -> str | None:
    """Return the library that the model is for, judging by the files beside it."""
    stated = result.facts.get("library")
    if isinstance(stated, str):
        return stated
    if result.sbom.format != "safetensors":
        return None
    if result.facts.get("adapter"):
        return "peft"
    framework = (result.sbom.training_framework or "").partition(" ")[0]
    return framework if framework in ("transformers", "diffusers") else None


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _facts(result: ScanResult) -> Iterator[tuple[str, ...]]:
    sbom = result.sbom
    yield "File name", sbom.model_filename, ""
    if place(sbom) != sbom.model_filename:
        yield "Address", place(sbom), ""
    yield "Size", f"{sbom.file_size_bytes:,} bytes", ""
    if sbom.sha256:
        yield "SHA-256", sbom.sha256, result.sha256_source
    elif stated := stated_sha256(result, result.url):
        yield "SHA-256, stated and not checked", stated["sha256"], stated["source"]
    if result.header_sha256:
        yield "SHA-256 of the header", result.header_sha256, "computed"
    for label, name in _FACTS:
        value = getattr(sbom, name)
        if value not in (None, "unknown"):
            shown = f"{value:,}" if isinstance(value, int) else value
            yield label, shown, result.sources.get(name, "")
    if result.license_spdx:
        yield "Licence as SPDX", result.license_spdx, ""


def _more(result: ScanResult) -> Iterator[tuple[str, ...]]:
    for key, value in result.facts.items():
        shown = value if isinstance(value, str) else to_json(value)
        yield key.replace("_", " "), shown


def _loads(result: ScanResult) -> Iterator[tuple[str, ...]]:
    for loader, files in result.loads.items():
        more = len(files) - _FILES_SHOWN
        yield loader, ", ".join(files[:_FILES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _files(result: ScanResult) -> Iterator[tuple[str, ...]]:
    for item in result.objects:
        size = f"{item.size:,}" if item.size >= 0 else ""
        yield file_name(item.url), size, item.sbom.sha256 if item.sbom else ""


def _findings(result: ScanResult) -> Iterator[tuple[str, ...]]:
    for finding in result.findings:
        yield finding.severity, finding.code, public(finding.message, result)


def _table(
    heading: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]
) -> Iterator[str]:
    """Yield a section with a table, or with "None." instead of an empty one."""
    yield f"\n## {heading}\n\n"
    lines = [f"| {' | '.join(text(cell) for cell in row)} |\n" for row in rows]
    if not lines:
        yield "None.\n"
        return
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    yield from lines
