"""One signed statement covers all files of an artifact, by their names, or it covers none."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy
from prefect_mutagen.scanner.policy.policy import SeverityChange
from tests.builders import gguf
from tests.certificates import signed_bundle, signed_file
from tests.scanner.examine.shard_builders import Files, shard
from tests.scanner.storing import put_local
from tests.signed_models import CONFIG, KEY, POLICY, SHARDS, is_refused, results_of, sign_folder
from tests.signing import attestation, oms, sha256


def _statements(first: Any, second: Any) -> Files:
    return {
        "a.intoto.json": signed_bundle(first, KEY),
        "b.intoto.json": signed_bundle(second, KEY),
    }


ONE, TWO = shard("t.1"), shard("t.2")
PAIR = {SHARDS[0]: ONE, SHARDS[1]: TWO}
TRUE = {name: sha256(data) for name, data in PAIR.items()}
TOGETHER: dict[str, Files] = {
    "two halves of two models": PAIR
    | _statements(
        attestation({SHARDS[0]: TRUE[SHARDS[0]]}), attestation({SHARDS[1]: TRUE[SHARDS[1]]})
    ),
    "shards under exchanged names": {SHARDS[0]: TWO, SHARDS[1]: ONE}
    | {"a.intoto.json": signed_bundle(attestation(TRUE), KEY)},
    "a signature for each shard": PAIR
    | {f"{name}.sigstore.json": signed_file(TRUE[name], KEY) for name in SHARDS},
    "a digest under another name": {
        "m.gguf": gguf().data,
        "a.intoto.json": signed_bundle(attestation({"other.gguf": sha256(gguf().data)}), KEY),
    },
    "a digest without a name": {
        "m.gguf": gguf().data,
        "a.intoto.json": signed_bundle(attestation({"": sha256(gguf().data)}), KEY),
    },
    "a digest in another folder": {
        "m.gguf": gguf().data,
        "model.sig": signed_bundle(oms({"old/m.gguf": sha256(gguf().data)}), KEY),
    },
    "a bundle of lines": PAIR
    | {
        "a.intoto.jsonl": b"\n".join(
            signed_bundle(attestation({name: TRUE[name]}), KEY) for name in SHARDS
        )
    },
    "weights alone, with a configuration that nobody signed": {
        "model.safetensors": ONE,
        "config.json": json.dumps(CONFIG).encode(),
        "modeling_x.py": b"class XForCausalLM:\n    pass\n",
        "model.safetensors.sigstore.json": signed_file(sha256(ONE), KEY),
    },
}


@pytest.mark.parametrize(
    "files", TOGETHER.values(), ids=[name.replace(" ", "-") for name in TOGETHER]
)
def test_one_statement_covers_everything_by_name(tmp_path: Path, files: Files) -> None:
    root = put_local(tmp_path, files)
    for result in results_of(root):
        assert "policy/signer" in {reason.code for reason in result.verdict.reasons}
    assert is_refused(root)


@pytest.mark.parametrize(
    "files",
    [
        PAIR | {"a.intoto.json": signed_bundle(attestation(TRUE), KEY)},
        {"m.gguf": gguf().data, "m.gguf.sigstore.json": signed_file(sha256(gguf().data), KEY)},
        {
            "model.safetensors": ONE,
            "config.json": b"{}",
            "a.intoto.json": signed_bundle(
                attestation({"model.safetensors": sha256(ONE), "config.json": sha256(b"{}")}), KEY
            ),
        },
    ],
    ids=["shards", "a-file", "a-file-with-its-configuration"],
)
def test_honest_statements_pass(tmp_path: Path, files: Files) -> None:
    assert not is_refused(put_local(tmp_path, files))


@pytest.mark.parametrize("broken", [{"setup.sh": b"#!/bin/sh"}, {"notes.txt": b"other"}, {}])
def test_a_signed_file_is_no_way_around_the_signature_of_its_folder(
    tmp_path: Path, broken: Files
) -> None:
    files = {"m.gguf": gguf().data, "notes.txt": b"signed"}
    root = put_local(tmp_path / "m", files)
    sign_folder(root)
    put_local(Path(root), {"m.gguf.sigstore.json": signed_file(sha256(gguf().data), KEY)})
    put_local(Path(root), broken)
    assert is_refused(root) == bool(broken)


def test_a_folder_that_was_signed_in_a_signed_folder(tmp_path: Path) -> None:
    root = put_local(tmp_path / "m", {"README.md": b"# x", "q4/m.gguf": gguf().data})
    sign_folder(f"{root}/q4")
    put_local(Path(root), {"q4/convert.py": b"print()"})
    assert is_refused(root)
    sign_folder(root)  # whoever signs the root vouches for the script as well
    assert not is_refused(root)
    put_local(Path(root), {"q4/convert.py": b"import os"})
    assert is_refused(root)


def test_loaders_in_use_say_what_has_to_be_signed(tmp_path: Path) -> None:
    """transformers takes a configuration with a GGUF file, llama.cpp the file alone."""
    signature = signed_file(sha256(gguf().data), KEY)
    files = {"m.gguf": gguf().data, "m.gguf.sigstore.json": signature}
    root = put_local(tmp_path, files | {"tokenizer_config.json": b"{}", "config.json": b"{}"})
    assert is_refused(root)
    alone = Policy(allowed_signers=POLICY.allowed_signers, loaders=("llama.cpp",))
    assert not is_refused(root, alone)
    both = Policy(allowed_signers=POLICY.allowed_signers, loaders=("llama.cpp", "transformers"))
    assert is_refused(root, both)
    lenient = Policy(
        allowed_signers=POLICY.allowed_signers, severities=(SeverityChange("signature/*", "info"),)
    )
    (result,) = results_of(root, lenient)
    assert [reason.code for reason in result.verdict.reasons] == ["policy/signer"]
    assert "takes" in result.verdict.reasons[0].message
