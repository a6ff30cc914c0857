"""Outputs against their rivals: ``python -m tests.benchmarks.outputs``.

The rivals: ``json.dumps`` of the same plain dicts, and cyclonedx-python-lib's own serialiser with
the same components, as far as it has a place for them (it has none for model cards). Times are the
processor's. Before that, what formats hold in memory over a scan of 100,000 artifacts.
"""

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import make_finding
from prefect_mutagen.scanner.outputs import writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import ObjectResult, Sbom, ScanResult, Summary
from prefect_mutagen.scanner.verdicts import Verdict
from tests.benchmarks.clock import Table, median
from tests.memory import Peak, peak_apart

GOAL = 5000
MANY = 100_000
INFO = ScanInfo("scan-1", "/models", "2026-01-02T03:04:05+00:00", "0.1.0", Policy())


def _result(number: int) -> ScanResult:
    """Make what is known about a common GGUF file: a document of about 5 KB."""
    url = f"/models/owner-{number % 97}/model-{number}-Q4_K_M.gguf"
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": f"Model {number}",
        "general.license": "apache-2.0",
        "llama.rope.freq_base": 500000.0,
        "llama.attention.layer_norm_rms_epsilon": 1e-05,
        "tokenizer.ggml.tokens": {
            "type": "array",
            "element_type": "STRING",
            "count": 128256,
            "preview": [f"token-{place}" for place in range(16)],
            "truncated": True,
        },
    }
    metadata |= {f"llama.setting_{place}": place * 1009 for place in range(60)}
    metadata |= {f"general.note_{place}": f"what note {place} says" for place in range(20)}
    metadata["metadata_keys"] = list(metadata)
    sbom = Sbom(
        sbom_version="1.0",
        generated_at="2026-01-02T03:04:05+00:00",
        tool_name="prefect-mutagen",
        tool_version="0.1.0",
        model_path=url,
        model_filename=url.rpartition("/")[2],
        file_size_bytes=4_920_000_000 + number,
        sha256=f"{number:064x}",
        format="gguf",
        architecture="llama",
        parameter_count=8_030_000_000,
        quantization="Q4_K_M",
        context_length=131_072,
        vocab_size=128_256,
        license="apache-2.0",
        base_model="owner/base",
        metadata=metadata,
    )
    return ScanResult(
        url=url,
        kind="file",
        pin=f"sha256:{number:064x}",
        objects=(ObjectResult(url, sbom.file_size_bytes, f"etag:{number}"),),
        sbom=sbom,
        license_spdx="Apache-2.0",
        sources={"license": "gguf:general.license", "architecture": "gguf:general.architecture"},
        facts={"name": f"Model {number}"},
        header_sha256=f"{number:064x}",
        sha256_source="computed",
        findings=(),
        verdict=Verdict("passed"),
    )


def _write(form: str, results: Iterator[ScanResult] | list[ScanResult]) -> str:
    out = io.StringIO()
    writer_of(form)(results, INFO, Summary(), out, OutputOptions())
    return out.getvalue()


def _library(components: list[dict[str, Any]]) -> str:
    """Write the same components with the library."""
    bom = Bom()
    for entry in components:
        component = Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=entry["name"],
            bom_ref=entry["bom-ref"],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=entry["hashes"][0]["content"])],
            licenses=[DisjunctiveLicense(id=entry["licenses"][0]["license"]["id"])],
            pedigree=Pedigree(
                ancestors=[
                    Component(type=ComponentType.MACHINE_LEARNING_MODEL, name=ancestor["name"])
                    for ancestor in entry["pedigree"]["ancestors"]
                ]
            ),
            evidence=ComponentEvidence(
                occurrences=[
                    Occurrence(location=place["location"])
                    for place in entry["evidence"]["occurrences"]
                ]
            ),
            properties=[
                Property(name=item["name"], value=item["value"]) for item in entry["properties"]
            ],
        )
        bom.components.add(component)
    return JsonV1Dot6(bom).output_as_string()


def measure_speed() -> None:
    """Documents per second, and per document the time of rivals."""
    count = 500
    results = [_result(number) for number in range(count)]
    plain = [result.sbom.to_dict() for result in results]
    bom = json.loads(_write("cyclonedx", results))
    size = len(json.dumps(plain[0], separators=(",", ":")))
    table = Table(f"{count} documents of {size / 1000:.1f} KB (without blanks), time of one")
    ours = _time(lambda: _write("json", results)) / count
    table.add("json", ours, "json.dumps, indented", _dumps(plain, 2), "at most 1.2")
    one = _time(lambda: [_write("json", [result]) for result in results]) / count
    lines = _time(lambda: _write("jsonl", results)) / count
    table.add("jsonl", lines, "json.dumps", _dumps(plain, None), "at most 1.5")
    boms = _time(lambda: _write("cyclonedx", results)) / count
    some = bom["components"][:50]
    library = _time(lambda: _library(some), least=3) / len(some)
    table.add("cyclonedx", boms, "cyclonedx-python-lib", library, "10 times faster")
    table.add("cyclonedx", boms, "json.dumps", _dumps(bom["components"], None), "at most 3")
    single = _time(lambda: [_write("cyclonedx", [result]) for result in results]) / count
    for name, seconds in (
        ("json", ours),
        ("json, one file each", one),
        ("jsonl", lines),
        ("cyclonedx", boms),
        ("cyclonedx, one file each", single),
    ):
        table.say(f"{name}: documents/s", f"{1 / seconds:,.0f}", f"{GOAL:,}")
    table.print()


def _time(function: Callable[[], Any], least: int = 5) -> float:
    return median(function, least=least, timer=time.process_time)


def _dumps(documents: list[dict[str, Any]], indent: int | None) -> float:
    return _time(lambda: [json.dumps(entry, indent=indent) for entry in documents]) / len(documents)


def measure_memory() -> None:
    """What a scan of 100,000 artifacts adds while it is written, each in a process of its own."""
    table = Table(f"memory that a scan of {MANY:,} artifacts adds after its first 1,000")
    for form in ("jsonl", "cyclonedx", "spdx3", "sarif", "intoto", "json"):
        _, growth = peak_apart(_growth, form)
        goal = "less than 5 MB" if form != "json" else "a place and a path for each document"
        table.say(form, f"{growth:.1f} MB", goal)
    table.print()


def _growth(form: str) -> float:
    """Write a scan to its last byte; the megabytes beyond what the first 1,000 artifacts took."""
    finding = make_finding("sbom/shadowed-key", "a key has the name of a fact", field="key")
    model = replace(_result(1), findings=(finding,))
    peaks: list[Peak] = []

    def results() -> Iterator[ScanResult]:
        for number in range(MANY):
            if number == 1000:
                peaks.append(Peak())
            url = f"/models/{number}.gguf"
            yield replace(model, url=url, sbom=replace(model.sbom, model_path=url))

    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        writer_of(form)(results(), INFO, Summary(), nowhere, OutputOptions())
    return peaks[0].megabytes()


def main() -> None:
    """Print all tables."""
    measure_memory()
    measure_speed()


if __name__ == "__main__":
    main()
