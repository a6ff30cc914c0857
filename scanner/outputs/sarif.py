"""``sarif``: findings and policy reasons for code scanning, as SARIF 2.1.0.

The log has one run. Results are streamed; artifacts are spooled to disk and written after them,
followed by the rules that occurred. GitHub shows 5,000 results of a run and rejects more than
25,000. Nothing is left out here, so scan the roots of a large bucket separately for GitHub.

Sources: SARIF 2.1.0 with errata 01 (OASIS); GitHub's documentation of SARIF for code scanning.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final, TextIO

from prefect_mutagen.scanner.examine.scan_info import ScanInfo
from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.outputs.addresses import as_uri
from prefect_mutagen.scanner.outputs.later import Later
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.outputs.remarks import Remark, remarks
from prefect_mutagen.scanner.outputs.rendering import render_each
from prefect_mutagen.scanner.outputs.stated import stated_sha256
from prefect_mutagen.scanner.results import ObjectResult, ScanResult, Summary
from prefect_mutagen.scanner.sbom.document import TOOL_NAME
from prefect_mutagen.scanner.sbom.json_text import to_json

__all__ = ["write_sarif"]

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
_MESSAGE_LENGTH: Final = 1000  # GitHub shows 1,024 characters
_MARKED: Final = re.compile(r"[\\\[\]]")


def write_sarif(
    results: Iterable[ScanResult],
    scan: ScanInfo,
    summary: Summary,
    out: TextIO,
    options: OutputOptions,  # noqa: ARG001 - the Writer contract
) -> None:
    """Write the log, a result per line; see `scanner.outputs.Writer`."""
    rules: dict[str, int] = {}
    with Later() as artifacts:
        out.write(f'{{"$schema":"{_SCHEMA}","version":"2.1.0","runs":[{{"results":[')
        between = "\n"
        count = 0

        def make(result: ScanResult, _: int) -> tuple[list[str], list[str]]:
            listed = [
                _artifact(item, result, number)
                for number, item in enumerate(result.objects, count + 1)
            ]
            entries = [
                _result(remark, rules.setdefault(remark.code, len(rules)))
                for remark in remarks(result)
            ]
            return [*map(to_json, listed)], [*map(to_json, entries)]

        for listed, entries in render_each(results, summary, make):
            count += len(listed)
            for entry in listed:
                artifacts.add(entry)
            for entry in entries:
                out.write(between + entry)
                between = ",\n"
        out.write('],\n"artifacts":')
        artifacts.write_list(out)
        invocation = {
            "executionSuccessful": True,
            "startTimeUtc": _utc(scan.started_at),
            "endTimeUtc": _utc(summary.finished_at),
        }
        tail = {
            "tool": {
                "driver": {
                    "name": TOOL_NAME,
                    "version": scan.tool_version,
                    "rules": [_rule(code) for code in rules],
                }
            },
            "invocations": [{name: value for name, value in invocation.items() if value}],
            "automationDetails": {"id": f"{TOOL_NAME}/{scan.id}"},
            "properties": {"census": summary.census.to_report()},
        }
        out.write(f",\n{to_json(tail)[1:]}]}}\n")


def _artifact(item: ObjectResult, result: ScanResult, number: int) -> dict[str, Any]:
    sha256 = result.sbom.sha256 if result.kind == "file" else item.sbom.sha256 if item.sbom else ""
    artifact: dict[str, Any] = {
        "location": {"uri": as_uri(item.url)},
        "roles": ["analysisTarget"],
        # Roots may overlap, but SARIF requires unique entries; the number makes them so.
        "properties": {"number": number, "verdict": result.verdict.status},
    }
    if item.size >= 0:
        artifact["length"] = item.size
    if sha256:
        artifact["hashes"] = {"sha-256": sha256}
    elif stated := stated_sha256(result, item.url):
        artifact["properties"]["statedSha256"] = stated
    return artifact


def _result(remark: Remark, index: int) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": as_uri(remark.url)}}
    if remark.offset is not None:
        physical["region"] = {"byteOffset": remark.offset, "byteLength": 0}
    location: dict[str, Any] = {"physicalLocation": physical}
    if remark.field:
        location["logicalLocations"] = [{"fullyQualifiedName": remark.field}]
    key = f"{remark.code}\0{remark.url}\0{remark.field}"
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    waiver = {"kind": "external", "status": "accepted", "justification": remark.waived}
    suppressed = {"suppressions": [waiver]} if remark.waived else {}
    return {
        "ruleId": remark.code,
        "ruleIndex": index,
        "level": _LEVELS[remark.severity],
        "message": {"text": _message(remark.message)},
        "locations": [location],
        **suppressed,
        "partialFingerprints": {
            "codeUrlField/v1": digest,
            "primaryLocationLineHash": f"{digest[:16]}:1",  # the only one GitHub uses
        },
    }


def _rule(code: str) -> dict[str, Any]:
    known = CODES[code]
    return {
        "id": code,
        "shortDescription": {"text": _message(known.meaning)},
        "help": {"text": _message(known.remedy)},
        "defaultConfiguration": {"level": _LEVELS[known.severity]},
        "properties": {"tags": ["model", code.partition("/")[0]]},
    }


def _message(text: str) -> str:
    """Escape a plain text message; unescaped, brackets are links and braces are placeholders.

    Source: SARIF 2.1.0, 3.11.5 and 3.11.6.
    """
    short = text if len(text) <= _MESSAGE_LENGTH else f"{text[: _MESSAGE_LENGTH - 3]}..."
    escaped = short.replace("{", "{{").replace("}", "}}")
    return _MARKED.sub(r"\\\g<0>", escaped) if "](" in escaped else escaped


def _utc(time: str) -> str:
    return time.replace("+00:00", "Z")
