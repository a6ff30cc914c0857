"""Sharded models for tests: files by name, and the results of scanning them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_mutagen.scanner import ScanResult, scan
from tests.builders import safetensors
from tests.scanner.storing import put_local

Files = dict[str, bytes]
INDEX = "model.safetensors.index.json"


def shard(*names: str) -> bytes:
    """A safetensors file of F32 tensors with two elements each."""
    content: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for number, name in enumerate(names):
        offsets = [8 * number, 8 * number + 8]
        content[name] = {"dtype": "F32", "shape": [2], "data_offsets": offsets}
    return safetensors(content, 8 * len(names))


def index(weight_map: Mapping[str, Any]) -> bytes:
    return json.dumps({"weight_map": weight_map}).encode()


def model(pattern: str, named: str = INDEX, total: int = 2) -> Files:
    """A model of several shards, whole, with an index."""
    names = [pattern % number for number in range(1, total + 1)]
    files = {name: shard(f"t.{name}") for name in names}
    return files | {named: index({f"t.{name}": name for name in names})}


def results_of(folder: Path, files: Files, **options: Any) -> dict[str, ScanResult]:
    root = put_local(folder, files)
    return {result.url.removeprefix(f"{root}/"): result for result in scan(root, **options)}


def codes_of(result: ScanResult) -> list[str]:
    return [finding.code for finding in result.findings]
