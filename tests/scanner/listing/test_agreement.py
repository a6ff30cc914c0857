"""A scan of a root and a check of one file in it find the same artifact, with the same pin."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import scan, verify
from tests.builders import gguf
from tests.ollama_stores import Blobs
from tests.scanner.examine.shard_builders import Files, model, shard
from tests.scanner.storing import put_local, put_memory
from tests.servers import S3Server

CARD = b"---\nlicense: mit\n---\n"
GGUF = gguf().data


def _named(*types: str) -> bytes:
    return json.dumps([{"path": f"{n}_X", "type": kind} for n, kind in enumerate(types)]).encode()


def _store() -> Files:
    blobs = Blobs()
    blobs.model("h/n/m/t", blobs.layer("model", GGUF), blobs.layer("system", b"Be kind."))
    return blobs


LAYOUTS: dict[str, Files] = {
    "alone": {"m.gguf": GGUF},
    "whole folder": {
        "config.json": b"{}",
        "README.md": CARD,
        "LICENSE": b"x",
        "tokenizer.json": b"{}",
        "chat_template.jinja": b"{{ messages }}",
        "m.py": b"",
        "model.safetensors": shard("a"),
        "additional_chat_templates/x.jinja": b"{{ m }}",
        "custom_generate/generate.py": b"",
        "pytorch_model.bin": b"x",
    },
    "weights below the root": {
        "README.md": CARD,
        "config.json": b"{}",
        "LICENSE": b"x",
        "USE_POLICY.md": b"x",
        "original/consolidated.safetensors": shard("a"),
        "original/params.json": b"{}",
        "a/b/tokenizer_config.json": b"{}",
        "a/b/m.gguf": GGUF,
    },
    "pooling layer": {
        "modules.json": _named("m.Transformer"),
        "model.safetensors": shard("a"),
        "1_Pooling/config.json": b"{}",
        "1_Pooling/x.py": b"",
        "2_Dense/pytorch_model.bin": b"x",
        "2_Dense/config.json": b"{}",
    },
    "shards": {"README.md": CARD, **model("model-%05d-of-00002.safetensors")},
    "shards below": {
        "README.md": CARD,
        **{f"q/{name}": data for name, data in model("model-%05d-of-00002.safetensors").items()},
    },
    "hub cache": {
        "models--o--n/snapshots/abc/unet/model.safetensors": shard("a"),
        "models--o--n/snapshots/abc/config.json": b"{}",
        "models--o--n/snapshots/abc/README.md": CARD,
    },
    "nested cards": {
        "README.md": CARD,
        "config.json": b"{}",
        "sub/README.md": b"# x",
        "sub/q/m.gguf": GGUF,
    },
    "evidence": {
        "m.gguf": GGUF,
        "m.gguf.sha256": b"0" * 64,
        "SHA256SUMS": b"",
        "m.gguf.aria2": b"",
        "model.sig": b"{}",
    },
    "signature above": {
        "README.md": CARD,
        "model.sig": b"{}",
        "x.intoto.json": b"{}",
        "m.gguf.intoto.json": b"{}",
        "a/x.intoto.json": b"{}",
        "a/q4/m.gguf": GGUF,
        "a/q4/model.sig": b"{}",
        "unet/model.safetensors": shard("a"),
    },
    "signature above without a card": {
        "model.sig": b"{}",
        "x.intoto.json": b"{}",
        "a/b/model.sig": b"{}",
        "a/b/c/m.gguf": GGUF,
        "sub/README.md": CARD,
        "sub/q/m.gguf": GGUF,
    },
    "signed pipeline": {
        "modules.json": _named("m.Transformer"),
        "model.sig": b"{}",
        "model.safetensors": shard("a"),
        "0_X/model.sig": b"{}",
        "0_X/model.safetensors": shard("b"),
        "1_Pooling/config.json": b"{}",
    },
    "store": _store(),
}


@pytest.fixture(params=["local", "memory", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Stores files; returns address and options."""

    def store(files: Files) -> tuple[str, dict[str, Any]]:
        if request.param == "local":
            return put_local(tmp_path, files), {}
        if request.param == "memory":
            return put_memory(files), {}
        server: S3Server = request.getfixturevalue("s3_server")
        return f"s3://{server.bucket(files)}", server.options

    return store


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_scan_and_check_agree(files: Files, stored: Any) -> None:
    root, options = stored(files)
    results = list(scan(root, storage_options=options))
    assert results
    for result in results:
        (alone,) = scan(result.url, storage_options=options)
        assert alone.neighbours == result.neighbours
        assert alone.pin == result.pin
        assert alone.findings == result.findings
        if result.passed:
            assert verify(result.url, result.pin, storage_options=options).pin == result.pin
