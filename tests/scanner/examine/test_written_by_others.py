"""Files as the packages of the formats' own projects write them."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from prefect_mutagen.scanner import scan


@pytest.mark.parametrize("endian", [gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG])
def test_gguf(tmp_path: Path, endian: gguf.GGUFEndian) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
    writer.add_context_length(2048)
    writer.add_license("apache-2.0")
    writer.add_tags(["tiny", "test"])
    writer.add_token_list([f"t{number}" for number in range(100)])
    writer.add_float32("llama.rope.scale", 0.5)
    writer.add_bool("flag", val=True)
    writer.add_tensor("token_embd.weight", np.zeros((16, 64), dtype=np.float32))
    writer.add_tensor(
        "blk.0.weight",
        gguf.quantize(np.zeros((8, 64), dtype=np.float32), gguf.GGMLQuantizationType.Q8_0),
        raw_dtype=gguf.GGMLQuantizationType.Q8_0,
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (result,) = scan(str(path))
    assert result.passed
    assert (result.sbom.architecture, result.sbom.context_length) == ("llama", 2048)
    assert (result.sbom.vocab_size, result.sbom.parameter_count) == (100, 16 * 64 + 8 * 64)
    assert result.sbom.metadata["tensor_type_counts"] == {"F32": 1, "Q8_0": 1}
    codes = [finding.code for finding in result.findings]
    assert codes == (["gguf/big-endian"] if endian == gguf.GGUFEndian.BIG else [])


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "a": np.zeros((4, 4), dtype=np.float16),
        "b": np.zeros((3,), dtype=np.float32),
        "empty": np.zeros((0,), dtype=np.int64),
        "scalar": np.array(1, dtype=np.uint8),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    (result,) = scan(str(path))
    assert result.passed
    assert result.findings == ()
    assert result.sbom.parameter_count == 20
    assert result.sbom.training_framework == "pytorch"
    assert set(result.sbom.metadata["tensor_dtypes"]) == set(tensors)
