"""Models as an uploader may write them: one file of weights and what lies beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_mutagen.scanner import Policy, ScanResult, scan
from tests.builders import weights
from tests.scanner.storing import put_local

__all__ = ["WEIGHTS", "card", "codes_of", "json_of", "model", "scan_one"]

WEIGHTS = [("a.weight", "F32", (2, 2))]


def card(text: str) -> bytes:
    return f"---\n{text}\n---\n# A model\n".encode()


def model(files: Mapping[str, bytes], **metadata: str) -> dict[str, bytes]:
    return {"model.safetensors": weights(WEIGHTS, {"format": "pt", **metadata}), **files}


def scan_one(folder: Path, files: Mapping[str, bytes], policy: Policy) -> ScanResult:
    (result,) = scan(put_local(folder, files), policy=policy)
    return result


def codes_of(result: ScanResult) -> list[str]:
    return [finding.code for finding in result.findings]


def json_of(**values: Any) -> bytes:
    return json.dumps(values).encode()
