"""Tag-value SPDX: l-bom's tags where they are right, and nothing that a value could forge."""

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from spdx_tools.spdx.model.document import Document
from spdx_tools.spdx.model.relationship import RelationshipType
from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

from prefect_mutagen.scanner import ScanResult, scan
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import ObjectResult, Summary
from prefect_mutagen.scanner.sbom.json_text import to_json
from tests.builders import gguf
from tests.scanner.outputs.writing import HUGE, NASTY, SCAN, Difference, Golden, made_of, write
from tests.scanner.storing import put_local

ReadSpdx = Callable[[str], Document]
FORMS = ("spdx", "spdx-json")
INPUTS = (
    *("bad-magic", "cut-data", "cut-kv", "f16", "lora"),
    *("no-file-type", "q8", "st-bare", "st-pt", "with-sidecar"),
)
_ID = r"SPDXRef-Package-[\w.-]+"
_PURL = r"ExternalRef: PACKAGE-MANAGER purl pkg:generic/llm-"
_BASE = r"SPDXRef-BaseModel-org-base(-model)?-1"

# Every difference: input, what l-bom said, what we say, and which row.
DIFFERENCES = (
    Difference("*", r"DocumentName: L-BOM-.+", r"DocumentName: prefect-mutagen-.+", "19: our name"),
    Difference(
        *("*", r"DocumentNamespace: .+/L-BOM-.+", r"DocumentNamespace: .+/prefect-mutagen-2026.+"),
        "17: one document, named by its scan",
    ),
    Difference(
        "*", r"Creator: Tool: l-bom-0\.1\.0", r"Creator: Tool: prefect-mutagen-.+", "19: our name"
    ),
    Difference("*", r"Created: .+\.\d{6}Z", r"Created: [\dT:-]{19}Z", "17: whole seconds"),
    Difference(
        *("*", rf"Relationship: SPDXRef-DOCUMENT DESCRIBES {_ID}"),
        rf"Relationship: SPDXRef-DOCUMENT DESCRIBES {_ID}-1",
        "17: unique ids",
    ),
    Difference("*", rf"SPDXID: {_ID}", rf"SPDXID: {_ID}-1", "17: unique ids"),
    Difference("*", r"PackageVersion: .+", None, "17: no version is read out of a name"),
    Difference("*", None, r"PrimaryPackagePurpose: FILE", "17: one package per model: a file"),
    Difference("*", None, r"FilesAnalyzed: false", "17: FilesAnalyzed was missing"),
    Difference("*", None, r"PackageSourceInfo: <text>/.+</text>", "17: the field for model_path"),
    Difference("*", None, r"PackageLicenseDeclared: .+", "17: the licence is declared"),
    Difference("*", None, r"PackageCopyrightText: NOASSERTION", "17: valid for SPDX 2.2 too"),
    Difference("*", None, r"", "17: a blank line before each package, the only document's"),
    Difference(
        *("*", None, r"(Annotator|AnnotationDate|AnnotationType|SPDXREF): .+"),
        "17: one valid document holds the other fields too",
    ),
    Difference("*", None, r"AnnotationComment: <text>\{.+\}</text>", "17: likewise"),
    *(
        Difference(
            *(name, None, r"AnnotationComment: <text>error \w+/[\w-]+: .+</text>"),
            "15: what is wrong is said",
        )
        for name in ("bad-magic", "cut-data", "cut-kv")
    ),
    Difference(
        *("cut-kv", None, rf"{_PURL}(architecture@llama|quantization@Q8_0)"),
        "21a: facts before the cut stay",
    ),
    Difference("q8", rf"{_PURL}quantization@Q5_1", rf"{_PURL}quantization@Q8_0", "1: right name"),
    Difference(
        *("with-sidecar", rf"{_PURL}quantization@Q5_K_S", rf"{_PURL}quantization@Q4_K_M"),
        "1: right name",
    ),
    *(
        Difference(
            *(name, None),
            rf"Relationship: {_ID}-1 DESCENDANT_OF {_BASE}|PackageName: org/base(-model)?"
            rf"|SPDXID: {_BASE}|PackageDownloadLocation: NOASSERTION"
            r"|PackageLicenseConcluded: NOASSERTION",
            "5: the base model is read; 17: a package of its own",
        )
        for name in ("q8", "with-sidecar", "lora", "cut-kv")
    ),
)
GOLDEN = Golden("spdx", ".spdx", INPUTS, DIFFERENCES)


@pytest.mark.parametrize("name", INPUTS)
def test_tags_equal_those_of_l_bom(golden_inputs: Path, recorded: Path, name: str) -> None:
    found = GOLDEN.compare(name, golden_inputs, recorded)
    assert [line for line in found if isinstance(line, str)] == []
    assert found


def test_every_listed_difference_is_one(golden_inputs: Path, recorded: Path) -> None:
    assert GOLDEN.unseen(golden_inputs, recorded) == set()


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_scan_is_one_valid_document(
    golden_inputs: Path, read_spdx: ReadSpdx, form: str
) -> None:
    results = list(scan(str(golden_inputs), hash="full"))
    text = write(form, results)
    assert text == write(form, results), "the same scan, the same document"
    document = read_spdx(text)
    assert document.creation_info.name == "prefect-mutagen-models"
    assert document.creation_info.document_namespace.endswith(SCAN.id)
    packages = [one for one in document.packages if one.file_name]
    assert len(packages) == len(results)
    assert [one.source_info for one in packages] == [one.sbom.model_path for one in results]
    assert all(not one.files_analyzed for one in document.packages)
    assert all(one.license_concluded == SpdxNoAssertion() for one in document.packages)
    bases = [one.name for one in document.packages if not one.file_name]
    assert sorted(bases) == ["org/base", "org/base-model"], "each once"
    related = [
        one
        for one in document.relationships
        if one.relationship_type == RelationshipType.DESCENDANT_OF
    ]
    assert len(related) == sum(result.sbom.base_model is not None for result in results)
    for package, result in zip(packages, results, strict=True):
        said = [one for one in document.annotations if one.spdx_id == package.spdx_id]
        rest = json.loads(said[0].annotation_comment)
        assert rest["metadata"] == json.loads(to_json(dict(result.sbom.metadata)))
        assert rest["license"] == result.sbom.license
        assert len(said) == 1 + len(result.findings)


@pytest.mark.parametrize("form", FORMS)
def test_packages_are_written_as_the_scan_goes(one_model: str, form: str) -> None:
    out, seen = io.StringIO(), []
    (result,) = scan(one_model)

    def results() -> Iterator[ScanResult]:
        for _ in range(4):
            seen.append(out.getvalue().count("DESCRIBES" if form == "spdx" else "packageFileName"))
            yield result

    writer_of(form)(results(), SCAN, Summary(), out, OutputOptions())
    assert seen == [0, 0, 2, 3], "the first two are looked at for the document's name"


@pytest.mark.parametrize("form", FORMS)
def test_real_headers(real_models: Path, read_spdx: ReadSpdx, form: str) -> None:
    document = read_spdx(write(form, scan(str(real_models), hash="none")))
    assert len(document.packages) == 4
    assert all(not one.checksums for one in document.packages)
    notices = [one.annotation_comment for one in document.annotations]
    assert notices.count("SHA256 computation skipped by request.") == 4


@pytest.mark.parametrize("form", FORMS)
def test_a_scan_of_nothing(read_spdx: ReadSpdx, form: str) -> None:
    document = read_spdx(write(form, []))
    assert document.packages == []
    assert len(document.relationships) == 1


@pytest.mark.parametrize("form", FORMS)
def test_names_that_were_alike_have_ids_of_their_own(
    tmp_path: Path, read_spdx: ReadSpdx, form: str
) -> None:
    root = put_local(tmp_path, {name: gguf().data for name in ("a_b.gguf", "a-b.gguf", "-1.gguf")})
    results = list(scan(root))
    document = read_spdx(write(form, [*results, *results]))
    assert len({package.spdx_id for package in document.packages}) == 6


@pytest.mark.parametrize("form", FORMS)
def test_a_set_is_one_package_that_names_its_files(
    one_model: str, read_spdx: ReadSpdx, form: str
) -> None:
    (result,) = scan(one_model, hash="full")
    shards = tuple(ObjectResult(f"/models/{n}.gguf", n, "", result.sbom) for n in (1, 2))
    whole = replace(result, kind="set", objects=shards, sbom=replace(result.sbom, sha256=""))
    document = read_spdx(write(form, [whole]))
    (package,) = document.packages
    assert package.checksums == []
    rest = json.loads(document.annotations[0].annotation_comment)
    assert [file["model_path"] for file in rest["files"]] == ["/models/1.gguf", "/models/2.gguf"]
    assert {file["sha256"] for file in rest["files"]} == {result.sbom.sha256}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("url", ["https://models.example.org/a b.gguf", "http://127.0.0.1/x.gguf"])
def test_a_download_location_is_an_address_that_spdx_knows(
    one_model: str, read_spdx: ReadSpdx, form: str, url: str
) -> None:
    (result,) = scan(one_model)
    document = read_spdx(write(form, [replace(result, sbom=replace(result.sbom, model_path=url))]))
    (package,) = document.packages
    assert package.source_info == url
    stated = "https://models.example.org/a%20b.gguf" if "example" in url else SpdxNoAssertion()
    assert package.download_location == stated


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_hostile_values_forge_nothing(
    one_model: str, read_spdx: ReadSpdx, form: str, value: str
) -> None:
    result = made_of(value, one_model)
    text = write(form, [result])
    assert [odd for odd in text if not odd.isprintable() and odd != "\n"] == []
    document = read_spdx(text)
    model, base = document.packages
    assert model.spdx_id.startswith("SPDXRef-Package-")
    assert _tells(model.name, value.replace("/", ":"))
    assert _tells(base.name, value)
    assert len(document.relationships) == 2
    facts, *said = [one.annotation_comment for one in document.annotations]
    rest = json.loads(facts)
    for name in ("architecture", "license", "base_model"):
        assert rest[name] == value.encode("utf-8", "backslashreplace").decode()
    assert rest["metadata"] == json.loads(to_json(dict(result.sbom.metadata)))
    assert len(said) == 3
    for extracted in document.extracted_licensing_info:
        assert visible(value).strip() in _unmarked(str(extracted.extracted_text))
        assert _tells(str(extracted.license_name), value)


def _tells(read: str, value: str) -> bool:
    """Compare; tag-value alone escapes marks of text, and what starts like a word of its own."""
    shown = visible(value)
    return _unmarked(read) in (shown, shown.strip(), f"\\x{ord(shown[0]):02x}{shown[1:].rstrip()}")


def _unmarked(read: str) -> str:
    return re.sub(r"\\u003c(?=/?text>)", "<", read, flags=re.IGNORECASE)


@pytest.mark.parametrize("value", HUGE.values(), ids=HUGE)
def test_huge_values_forge_nothing(one_model: str, read_spdx: ReadSpdx, value: str) -> None:
    result = made_of(value, one_model)
    assert len(read_spdx(write("spdx-json", [result])).packages) == 2
    lines = [line for line in write("spdx", [result]).splitlines() if line]
    tags = [line.partition(":")[0] for line in lines]
    assert all(re.fullmatch(r"[A-Za-z]+", tag) for tag in tags)
    assert tags.count("PackageName") == 2
    assert all(line.count("</text>") <= 1 for line in lines)
