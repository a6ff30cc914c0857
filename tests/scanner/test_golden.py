"""Our documents against recorded ones of l-bom: equal key for key, in order and type, or listed.

Each difference has the number of its row in the documentation ("Coming from l-bom").
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.outputs.documents import documents
from prefect_mutagen.scanner.sbom.json_text import to_json

OUTPUTS = Path(__file__).parent.parent / "golden" / "outputs"

_THEIR_CUT = (
    "Unable to parse GGUF header cleanly: Expected 8 bytes but reached the end of file early."
)
_CUT_KEY = (
    "GGUF: key 14 at byte 697: the file ends at byte 700; expected a file of at least 705 bytes"
)
_CUT_DATA = (
    "safetensors: tensor data at byte 366: the file ends at byte 366, 10 bytes early; "
    "expected a file of at least 376 bytes"
)

# Every difference: input, path in the document, what l-bom said, what we say, and which row.
DIFFERENCES: dict[tuple[str, str], tuple[Any, Any, str]] = {
    ("q8", "quantization"): ("Q5_1", "Q8_0", "1: the right name of file type 7"),
    ("q8", "license"): (None, "apache-2.0", "4: general.license is read"),
    ("q8", "base_model"): (None, "org/base", "5: general.base_model.0 is read"),
    ("with-sidecar", "quantization"): ("Q5_K_S", "Q4_K_M", "1: the right name of file type 15"),
    ("with-sidecar", "license"): (None, "apache-2.0", "4: general.license is read"),
    ("with-sidecar", "base_model"): (
        "/home/someone/ckpt",
        "org/base",
        "5: general.base_model.0 is read; a home directory is not published",
    ),
    ("lora", "base_model"): (None, "org/base-model", "5: adapter_config.json is read"),
    ("st-pt", "context_length"): (None, 8192, "6: config.json is read"),
    ("st-pt", "vocab_size"): (None, 32768, "6: config.json is read"),
    ("sharded", "context_length"): (None, 2048, "6: text_config is read"),
    ("sharded", "vocab_size"): (None, 32064, "6: text_config is read"),
    ("sharded", "training_framework"): (
        "transformers",
        "pytorch",
        "10: config.json does not say transformers; the header says pt",
    ),
    ("sharded", "metadata.sidecar_config.torch_dtype"): (
        ...,
        "float16",
        "7: the newer key dtype is read",
    ),
    ("bad-magic", "warnings"): (
        [],
        ["GGUF: content at byte 0: a web page; expected a GGUF file"],
        "15: what is wrong is said",
    ),
    ("cut-data", "warnings"): (
        [],
        [_CUT_DATA],
        "15: what is wrong is said",
    ),
    ("cut-kv", "architecture"): (None, "llama", "21a: facts before the cut stay"),
    ("cut-kv", "quantization"): (None, "Q8_0", "21a: facts before the cut stay"),
    ("cut-kv", "context_length"): (None, 4096, "21a: facts before the cut stay"),
    ("cut-kv", "license"): (None, "apache-2.0", "21a and 4"),
    ("cut-kv", "base_model"): (None, "org/base", "21a and 5"),
    ("cut-kv", "warnings"): (
        [_THEIR_CUT],
        [_CUT_KEY],
        "21a: our own text, with the offset",
    ),
    ("cut-kv", "metadata.gguf_version"): (..., 3, "21a: facts before the cut stay"),
    ("cut-kv", "metadata.endianness"): (..., "little", "21a: facts before the cut stay"),
    ("cut-kv", "metadata.tensor_count"): (..., 0, "21a: facts before the cut stay"),
    ("cut-kv", "metadata.tensor_type_counts"): (..., {}, "21a: facts before the cut stay"),
    ("cut-kv", "metadata.tensor_type_parameter_counts"): (..., {}, "21a"),
}
# Rows 19 (our own name and version) and the time of the scan differ everywhere.
OUR_OWN = {"generated_at", "tool_name", "tool_version"}
NAMES = sorted(path.name.removesuffix(".nohash.json") for path in OUTPUTS.glob("*.nohash.json"))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Flatten metadata, so that a difference has a path."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{path}{key}"
        nested = key in {"metadata", "sidecar_config"}
        found.update(_flat(inner, f"{name}.") if nested and inner else {name: inner})
    return found


def _compare(name: str, theirs: dict[str, Any], ours: dict[str, Any], *, hashed: bool) -> None:
    assert list(theirs) == list(ours), "the 20 fields and their order"
    before, after = _flat(theirs), _flat(ours)
    common = [key for key in before if key in after]
    assert common == [key for key in after if key in before], "the order of keys"
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key, ...), after.get(key, ...)
        if key in OUR_OWN:
            continue
        expected = DIFFERENCES.get((name, key))
        if expected is not None:
            said, say, _reason = expected
            notice = [] if hashed or key != "warnings" else [_NOTICE]
            assert old == (notice + said if notice else said), key
            assert new == (notice + say if notice else say), key
        elif (name, key) == ("cut-kv", "metadata.metadata_keys"):
            assert old is ...  # 21a again
            assert len(new) == 14
        else:
            assert new == old, key
            assert type(new) is type(old), key


_NOTICE = "SHA256 computation skipped by request."


@pytest.mark.parametrize("hashed", [True, False], ids=["full", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_documents_equal_those_of_l_bom(golden_inputs: Path, name: str, hashed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    recorded = OUTPUTS / (f"{name}.json" if hashed else f"{name}.nohash.json")
    theirs = json.loads(recorded.read_text())
    theirs = theirs if isinstance(theirs, list) else [theirs]
    root = str(golden_inputs / name)
    found = list(documents(scan(root, hash="full" if hashed else "none")))
    assert len(found) == len(theirs)
    for one, sbom in zip(theirs, found, strict=True):
        ours = json.loads(to_json(sbom.to_dict()))
        assert ours["model_path"] == str(golden_inputs) + one["model_path"].removeprefix("/golden")
        ours["model_path"] = one["model_path"]
        _compare(name, one, ours, hashed=hashed)


def test_every_listed_difference_is_one() -> None:
    assert {name for name, _ in DIFFERENCES} <= set(NAMES)
    assert all(old != new for old, new, _ in DIFFERENCES.values())


@pytest.mark.parametrize(
    "name",
    ["ggml-vocab-bert-bge", "ggml-vocab-llama-bpe", "ggml-vocab-llama-spm", "ggml-vocab-qwen2"],
)
def test_documents_of_real_headers_equal_those_of_l_bom(real_models: Path, name: str) -> None:
    theirs = json.loads((real_models / "l-bom" / f"{name}.json").read_text())
    (result,) = scan(str(real_models / f"{name}.gguf"), hash="none")
    ours = json.loads(to_json(result.sbom.to_dict()))
    ours["model_path"] = theirs["model_path"]
    _compare(name, theirs, ours, hashed=False)
    assert result.passed


def test_the_documentation_has_a_row_for_every_difference() -> None:
    page = (Path(__file__).parent.parent.parent / "docs/coming-from-l-bom.md").read_text()
    rows = set(re.findall(r"^\| (\d+[a-z]?) \|", page, re.MULTILINE))
    cited = {
        row
        for *_, why in DIFFERENCES.values()
        for row in re.findall(r"\d+[a-z]?", why.partition(":")[0])
    }
    assert {"1", "21a"} <= cited <= rows
