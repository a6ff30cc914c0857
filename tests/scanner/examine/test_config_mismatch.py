"""config.json against the weights of files and sets, through a scan."""

import json
from pathlib import Path
from typing import Any

from prefect_mutagen.scanner import ScanResult, scan
from tests.builders import weights
from tests.scanner.content.packed_cases import Row
from tests.scanner.content.real_configs import decoder, text
from tests.scanner.storing import put_local

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
SMALL = {"vocabulary": 100, "hidden": 64, "inner": 128, "heads": 4, "groups": 4, "size": 16}
ROWS: list[Row] = [(name, "BF16", shape) for name, shape in decoder(**SMALL).items()]  # type: ignore[arg-type]


def _config(**more: Any) -> bytes:
    sizes = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 128}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    return json.dumps(text("llama", **sizes, **heads) | more).encode()


def _set(rows: list[Row]) -> dict[str, bytes]:
    half = len(rows) // 2
    placed = {row[0]: ONE if n < half else TWO for n, row in enumerate(rows)}
    index = {"metadata": {}, "weight_map": placed}
    return {
        ONE: weights(rows[:half]),
        TWO: weights(rows[half:]),
        "model.safetensors.index.json": json.dumps(index).encode(),
    }


def _found(tmp_path: Path, files: dict[str, bytes]) -> tuple[ScanResult, list[str]]:
    (result,) = scan(put_local(tmp_path, files))
    return result, [finding.code for finding in result.findings]


def test_what_fits_passes(tmp_path: Path) -> None:
    for n, files in enumerate(({"model.safetensors": weights(ROWS)}, _set(ROWS))):
        result, codes = _found(tmp_path / str(n), files | {"config.json": _config()})
        assert (codes, result.verdict.status) == ([], "passed")


def test_a_file_that_the_loader_would_refuse_fails(tmp_path: Path) -> None:
    files = {"model.safetensors": weights(ROWS), "config.json": _config(vocab_size=104)}
    result, codes = _found(tmp_path, files)
    assert codes == ["safetensors/config-mismatch"] * 2
    assert result.verdict.status == "failed"


def test_a_set_is_compared_as_a_whole_and_once(tmp_path: Path) -> None:
    result, codes = _found(tmp_path, _set(ROWS) | {"config.json": _config(vocab_size=104)})
    assert codes == ["safetensors/config-mismatch"] * 2
    assert result.findings[0].url.endswith("model.safetensors.index.json")


def test_layers_that_are_missing_are_a_warning(tmp_path: Path) -> None:
    result, codes = _found(tmp_path, _set(ROWS) | {"config.json": _config(num_hidden_layers=3)})
    assert codes == ["safetensors/weights-missing"]
    assert result.passed


def test_a_missing_shard_is_not_called_missing_layers(tmp_path: Path) -> None:
    files = _set(ROWS) | {"config.json": _config()}
    del files[TWO]
    _, codes = _found(tmp_path, files)
    assert codes == ["set/missing-shard"]


def test_other_files_of_the_folder_are_not_compared(tmp_path: Path) -> None:
    config = {"config.json": _config(vocab_size=104)}
    for n, name in enumerate(("consolidated.safetensors", "model-rank-0-part-0.safetensors")):
        _, codes = _found(tmp_path / str(n), {name: weights(ROWS)} | config)
        assert codes == []
