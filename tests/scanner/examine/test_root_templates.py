"""Chat templates in the root of a model whose weights lie in folders below."""

import json
from pathlib import Path

import pytest

from prefect_mutagen.scanner import ArtifactRejected, verify
from tests.builders import gguf
from tests.scanner.examine.shard_builders import Files, results_of


@pytest.mark.parametrize(
    "beside",
    [
        {"chat_template.jinja": b"{{ ''.__class__ }}"},
        {"tokenizer_config.json": json.dumps({"chat_template": "{{ ''.__class__ }}"}).encode()},
        {"processor_config.json": json.dumps({"chat_template": "{{ ''.__class__ }}"}).encode()},
    ],
    ids=lambda files: next(iter(files)),
)
def test_a_template_in_the_root_counts_for_weights_below(beside: Files, tmp_path: Path) -> None:
    files = {"README.md": b"---\nlicense: mit\n---\n", "Q4/m.gguf": gguf().data, **beside}
    (result,) = results_of(tmp_path, files).values()
    assert "template/escape" in {one.code for one in result.findings}
    assert result.verdict.status == "failed"
    with pytest.raises(ArtifactRejected, match="__class__") as refused:
        verify(result.url, result.pin)
    assert "storage/other-pin" not in {reason.code for reason in refused.value.reasons}


def test_a_template_nearer_to_the_weights_counts_instead(tmp_path: Path) -> None:
    files = {
        "README.md": b"---\nlicense: mit\n---\n",
        "chat_template.jinja": b"{{ ''.__class__ }}",
        "Q4/chat_template.jinja": b"{{ messages }}",
        "Q4/m.gguf": gguf().data,
    }
    (result,) = results_of(tmp_path, files).values()
    assert result.passed
