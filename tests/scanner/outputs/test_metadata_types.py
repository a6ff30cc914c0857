"""Whatever types a header's metadata has, every output writes a valid document of it."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.model.document import Document

from prefect_mutagen.scanner import ScanResult, scan
from prefect_mutagen.scanner.outputs import FORMATS, writer_of
from prefect_mutagen.scanner.outputs.options import OutputOptions
from prefect_mutagen.scanner.results import Summary
from tests.builders import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I64,
    STRING,
    U8,
    U32,
    U64,
    gguf,
    safetensors,
    tensor,
)
from tests.packed_page import packed
from tests.scanner.outputs.pages import front, structure
from tests.scanner.outputs.validating import INFO, SHAPES, read

KEYS = (
    *("general.architecture", "general.name", "general.file_type", "general.tags"),
    *("general.languages", "general.datasets", "general.license", "general.license.name"),
    *("general.license.link", "general.size_label", "general.version", "general.base_model.count"),
    *("general.base_model.0.name", "general.base_model.0.repo_url", "general.dataset.count"),
    *("general.dataset.0.name", "base_model", "base_model_repo_id", "license_name", "license_link"),
    *("tokenizer.ggml.tokens", "tokenizer.ggml.model", "tokenizer.chat_template", "split.count"),
    *("llama.context_length", "llama.vocab_size", "llama.expert_count", "adapter.type"),
    *("llama.rope.scaling.type", "llama.rope.scaling.factor", "adapter.lora.alpha"),
    *("sidecar_config", "layer_names", "gguf_version", "type", "head"),
)
TEXTS = st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace")) | st.sampled_from(
    [b"llama", b"no", b"org/base", b"x" * 70_000, b"https://huggingface.co/org/base", b"{{ x }}"]
)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    BOOL: st.sampled_from([0, 1]),
    U8: st.integers(0, 255),
    U32: st.integers(0, 2**32 - 1),
    U64: st.integers(0, 2**64 - 1),
    I64: st.integers(-(2**63), 2**63 - 1),
    F32: st.floats(width=32),
    F64: st.floats(),
    STRING: TEXTS,
}
ENTRIES = st.one_of(
    *(st.tuples(st.just(kind), values) for kind, values in SCALARS.items()),
    *(
        st.tuples(st.just(ARRAY), st.tuples(st.just(kind), st.lists(values, max_size=3)))
        for kind, values in SCALARS.items()
    ),
)
METADATA = st.dictionaries(st.sampled_from(KEYS), ENTRIES, max_size=8)
PAGES = ("hf-readme", "model-card")


def _check(form: str, result: ScanResult, read_spdx: Callable[[str], Document]) -> None:
    """Write a result, and have a strict reader look at it."""
    summary, out = Summary(), io.StringIO(newline="")
    summary.add(result)
    writer_of(form)([result], INFO, summary, out, OutputOptions())
    text = out.getvalue()
    text.encode()
    if form in SHAPES:
        read(form, text)
    elif form in PAGES:
        assert front(text) is not None
        assert "heading_open h1" in structure(text)
    elif form.startswith("spdx"):
        assert len(read_spdx(text).packages) >= 1
    elif form == "table":
        assert "m." in text
    elif form == "summary":
        assert "1 artifact" in text
    elif form == "html":
        assert len(packed(text)["rows"]) == 1
    else:
        assert json.loads(text)


def _results(folder: Path, name: str, data: bytes) -> Iterator[ScanResult]:
    for old in folder.iterdir():
        old.unlink()
    (folder / name).write_bytes(data)
    yield from scan(str(folder), hash="full")


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@example({"general.languages": (BOOL, 1)})
@example({"general.languages": (U32, 7), "general.tags": (F32, 1.5)})
@given(METADATA)
@pytest.mark.parametrize("form", FORMATS)
def test_any_type_under_any_key(
    tmp_path: Path,
    form: str,
    read_spdx: Callable[[str], Document],
    metadata: dict[str, tuple[int, Any]],
) -> None:
    entries = [(key, kind, value) for key, (kind, value) in metadata.items()]
    (result,) = _results(tmp_path, "m.gguf", gguf(entries).data)
    assert "scan/internal-error" not in {finding.code for finding in result.findings}
    _check(form, result, read_spdx)


@pytest.mark.parametrize("form", FORMATS)
def test_a_text_where_safetensors_has_what_gguf_lists(
    tmp_path: Path, form: str, read_spdx: Callable[[str], Document]
) -> None:
    metadata = dict.fromkeys(KEYS, "text")
    data = safetensors({"__metadata__": metadata, "a": tensor("F32", [1], 0, 4)}, 4)
    (result,) = _results(tmp_path, "m.safetensors", data)
    _check(form, result, read_spdx)
