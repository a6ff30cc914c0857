"""Signatures beside models, from a folder to the verdict."""

from pathlib import Path

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from prefect_mutagen.scanner.storage.hashing import HashLevel
from tests import signing
from tests.builders import gguf, safetensors
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import put_local

GGUF = gguf().data
CONFIG = b'{"model_type":"llama"}'
TRUE = {"m.gguf": signing.sha256(GGUF), "config.json": signing.sha256(CONFIG)}
REQUIRED = Policy(require_signature=True)


def _only(root: str, level: HashLevel = "full", policy: Policy = REQUIRED) -> ScanResult:
    (result,) = scan(root, hash=level, policy=policy)
    return result


@pytest.mark.parametrize(
    ("level", "digests", "status", "codes"),
    [
        ("full", TRUE, "passed", ["signature/unverified"]),
        ("none", TRUE, "passed", ["signature/unverified"]),
        ("full", TRUE | {"m.gguf": "ab" * 32}, "failed", ["signature/mismatch"]),
        ("none", TRUE | {"config.json": "ab" * 32}, "failed", ["signature/mismatch"]),
        ("full", {"config.json": TRUE["config.json"]}, "failed", ["signature/unverified"]),
    ],
    ids=["true", "not-hashed", "another-model", "another-config", "only-the-config"],
)
def test_a_signature_is_held_against_the_files(
    tmp_path: Path, level: HashLevel, digests: dict[str, str], status: str, codes: list[str]
) -> None:
    signature = signing.bundle(signing.oms(digests))
    root = put_local(tmp_path, {"m.gguf": GGUF, "config.json": CONFIG, "model.sig": signature})
    result = _only(root, level)
    assert [finding.code for finding in result.findings] == codes
    assert result.verdict.status == status
    assert result.facts["signature"]["files"][0]["name"] == "model.sig"


def test_every_shard_of_a_set_has_to_be_named(tmp_path: Path) -> None:
    shards = {
        f"m-0000{n}-of-00002.safetensors": safetensors('{"t%d":%s}' % (n, GOOD), 4) for n in (1, 2)
    }
    digests = {name: signing.sha256(data) for name, data in shards.items()}
    root = put_local(tmp_path, shards | {"model.sig": signing.bundle(signing.oms(digests))})
    assert _only(root).passed
    del digests["m-00002-of-00002.safetensors"]
    put_local(tmp_path, {"model.sig": signing.bundle(signing.oms(digests))})
    assert [reason.code for reason in _only(root).verdict.reasons] == ["policy/signature-missing"]


def test_a_signature_is_part_of_the_pin(tmp_path: Path) -> None:
    root = put_local(tmp_path, {"m.gguf": GGUF})
    before = _only(root).pin
    put_local(tmp_path, {"m.gguf.sigstore.json": signing.message(TRUE["m.gguf"])})
    assert _only(root).pin == _only(f"{root}/m.gguf").pin != before
    put_local(tmp_path, {"other.gguf.sigstore.json": signing.message(TRUE["m.gguf"])})
    after = _only(root).pin
    put_local(tmp_path, {"other.gguf.sigstore.json": b""})
    assert _only(root).pin == after  # that one is about another file
