"""Who must have signed, from a folder to the verdict; the signer is OpenSSF's model-signing."""

import os
import sys
from pathlib import Path
from typing import Any

import model_signing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from prefect_mutagen.scanner import (
    ArtifactRejected,
    Policy,
    ScanResult,
    open_verified,
    scan,
    verify,
)
from prefect_mutagen.scanner.commands.cli import main
from prefect_mutagen.scanner.policy.policy import SeverityChange, Signer
from prefect_mutagen.scanner.storage.hashing import HashLevel
from tests.builders import STRING, gguf, safetensors
from tests.certificates import DAY, NOW, Authority, private_pem, public_pem, signed_bundle
from tests.parsers.safetensors_cases import GOOD
from tests.scanner.storing import put_local
from tests.servers import S3Server
from tests.signing import attestation, sha256
from tests.sigstore_instance import IDENTITY, ISSUER, Sigstore

GGUF = gguf().data
OTHER = gguf((("general.architecture", STRING, "mistral"),)).data
CONFIG = b'{"model_type":"llama"}'
KEY = ec.generate_private_key(ec.SECP256R1())
POLICY = Policy(allowed_signers=(Signer(public_key=public_pem(KEY)),))


def _sign(root: str, where: Path, key: ec.EllipticCurvePrivateKey = KEY, model: str = "") -> None:
    """Sign a folder or a file as its publisher would."""
    path = where / "key.pem"
    path.write_bytes(private_pem(key))
    signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=path)
    signing.sign(model or root, f"{root}/model.sig")


@pytest.fixture
def model(tmp_path: Path) -> str:
    root = put_local(tmp_path / "m", {"m.gguf": GGUF, "config.json": CONFIG})
    _sign(root, tmp_path)
    return root


def _only(root: str, policy: Policy = POLICY, level: HashLevel = "full") -> ScanResult:
    (result,) = scan(root, policy=policy, hash=level)
    return result


def _codes(result: ScanResult) -> list[str]:
    return [finding.code for finding in result.findings if finding.code.startswith("signature/")]


def _reasons(result: ScanResult) -> list[str]:
    return [reason.code for reason in result.verdict.reasons]


def test_a_signed_model_passes(model: str) -> None:
    result = _only(model)
    assert result.passed
    assert _codes(result) == ["signature/verified"]
    assert result.facts["signature"]["signers"] == [
        {"name": POLICY.allowed_signers[0].name, "expires": ""}
    ]
    assert verify(model, policy=POLICY).passed
    with open_verified(f"{model}/m.gguf", policy=POLICY) as file:
        assert file.read() == GGUF


def test_a_signed_file_passes(tmp_path: Path) -> None:
    root = put_local(tmp_path / "m", {"m.gguf": GGUF, "README.md": b"a card"})
    _sign(root, tmp_path, model=f"{root}/m.gguf")
    assert _only(root).passed  # what lies beside a file was not signed with it


def test_bytes_that_nobody_hashed_are_not_signed(model: str) -> None:
    digest = sha256(GGUF)
    for stated in ({}, {"m.gguf.sha256": digest.encode()}):
        put_local(Path(model), stated)
        result = _only(model, level="stored")
        assert _reasons(result) == ["policy/signer"]
        assert _codes(result) == ["signature/unbound"]
        assert "--hash full" in result.findings[-1].hint
    (Path(model) / "m.gguf").write_bytes(OTHER)
    # A checksum file says that all is as before.
    assert not _only(model, level="stored").passed
    with pytest.raises(ArtifactRejected):
        verify(model, policy=POLICY)


def test_remote_bytes_are_hashed_before_they_pass(s3_server: S3Server, model: str) -> None:
    files = {name: (Path(model) / name).read_bytes() for name in os.listdir(model)}
    url, options = f"s3://{s3_server.bucket(files)}", s3_server.options
    (result,) = scan(url, policy=POLICY, hash="lookup", storage_options=options)
    assert (_codes(result), _reasons(result)) == (["signature/unbound"], ["policy/signer"])
    assert verify(url, policy=POLICY, storage_options=options).sha256_source == "computed"


def _replace_model(root: Path) -> None:
    (root / "m.gguf").write_bytes(OTHER)


def _other_signature(root: Path) -> None:
    other = put_local(root.parent / "other", {"other.gguf": OTHER})
    _sign(other, root.parent)
    (root / "model.sig").write_bytes((Path(other) / "model.sig").read_bytes())


def _stranger(root: Path) -> None:
    _sign(str(root), root.parent, ec.generate_private_key(ec.SECP256R1()))


def _changed_payload(root: Path) -> None:
    (root / "m.gguf").write_bytes(OTHER)
    made_up = signed_bundle(
        attestation({"m.gguf": sha256(OTHER)}), ec.generate_private_key(ec.SECP256R1())
    )
    (root / "model.sig").write_bytes(made_up)


@pytest.mark.parametrize(
    ("tamper", "codes"),
    [
        (_replace_model, ["signature/mismatch"]),
        (lambda root: (root / "config.json").write_bytes(b"{}"), ["signature/mismatch"]),
        (_other_signature, []),
        (_stranger, ["signature/unknown-signer"]),
        (_changed_payload, ["signature/unknown-signer"]),
        (lambda root: (root / "model.sig").unlink(), []),
        (lambda root: (root / "model.sig").write_bytes(b""), []),
        (lambda root: (root / "model.sig").write_bytes(b"\xff"), ["signature/unreadable"]),
        (lambda root: os.truncate(root / "model.sig", 50 << 20), ["signature/unreadable"]),
        (lambda root: (root / "m.gguf").rename(root / "model.sig.gguf"), []),
        (lambda root: (root / "m.gguf").rename(root / "M.GGUF"), []),
        (
            lambda root: (root / "README.md").write_text("---\nlicense: mit\n---\n"),
            ["signature/unsigned-file"],
        ),
        (
            lambda root: (root / "generation_config.json").write_bytes(CONFIG),
            ["signature/unsigned-file"],
        ),
    ],
    ids=[
        "another-model",
        "another-config",
        "signature-of-another-model",
        "another-signer",
        "signed-anew-by-another",
        "signature-removed",
        "signature-empty",
        "signature-no-text",
        "signature-of-50-MB",
        "renamed",
        "renamed-in-letters",
        "file-added",
        "signed-file-copied-to-another-name",
    ],
)
def test_what_was_tampered_with_fails(model: str, tamper: Any, codes: list[str]) -> None:
    tamper(Path(model))
    result = _only(model)
    assert result.verdict.status == "failed"
    assert set(codes) <= set(_codes(result))
    with pytest.raises(ArtifactRejected):
        verify(model, policy=POLICY)


def test_the_reason_names_the_field_and_the_value(model: str) -> None:
    (Path(model) / "model.sig").unlink()
    (reason,) = _only(model).verdict.reasons
    assert (reason.code, reason.policy_field, reason.value) == (
        "policy/signer",
        "allowed_signers",
        "none",
    )
    assert POLICY.allowed_signers[0].name in reason.message


def test_a_model_added_later_is_not_signed(model: str) -> None:
    put_local(Path(model), {"more.gguf": OTHER})
    results = {
        result.url.rpartition("/")[2]: result for result in scan(model, policy=POLICY, hash="full")
    }
    assert results["m.gguf"].passed
    assert _reasons(results["more.gguf"]) == ["policy/signer"]


def test_links_lead_to_the_bytes_that_count(tmp_path: Path, model: str) -> None:
    (Path(model) / "m.gguf").rename(tmp_path / "elsewhere.gguf")
    (Path(model) / "m.gguf").symlink_to(tmp_path / "elsewhere.gguf")
    assert _only(model).passed
    (tmp_path / "elsewhere.gguf").write_bytes(OTHER)
    assert not _only(model).passed


def test_all_shards_of_a_set_have_to_be_signed(tmp_path: Path) -> None:
    names = [f"m-0000{n}-of-00002.safetensors" for n in (1, 2)]
    shards = {name: safetensors('{"t%d":%s}' % (n, GOOD), 4) for n, name in enumerate(names)}
    index = '{"weight_map":{"t0":"%s","t1":"%s"}}' % tuple(names)
    files = {**shards, "m.safetensors.index.json": index.encode()}
    root = put_local(tmp_path / "m", files)
    _sign(root, tmp_path)
    assert _only(root).passed
    put_local(Path(root), {"m.safetensors.index.json": index.encode() + b" "})
    assert "signature/unsigned-file" in _codes(_only(root))
    put_local(Path(root), {**files, names[1]: shards[names[0]]})
    assert not _only(root).passed
    put_local(Path(root), files)
    first = put_local(tmp_path / "one", {names[0]: shards[names[0]]})
    _sign(first, tmp_path)
    put_local(Path(root), {"model.sig": (Path(first) / "model.sig").read_bytes()})
    assert _reasons(_only(root)) == ["signature/unsigned-file", "policy/signer"]


def test_what_is_said_about_a_model_does_not_sign_it(tmp_path: Path) -> None:
    report = attestation(
        {"m.gguf": sha256(GGUF)}, predicateType="https://in-toto.io/attestation/test-result/v0.1"
    )
    files = {"m.gguf": GGUF, "m.gguf.intoto.json": signed_bundle(report, KEY)}
    result = _only(put_local(tmp_path, files))
    assert _reasons(result) == ["policy/signer"]
    assert "does not sign it" in result.findings[-1].message


def test_severities_open_no_way_around_the_signer(model: str) -> None:
    _stranger(Path(model))
    lenient = Policy(
        allowed_signers=POLICY.allowed_signers,
        severities=(SeverityChange("signature/*", "info"),),
    )
    assert _reasons(_only(model, lenient)) == ["policy/signer"]


def test_certificates_count_while_they_are_valid(tmp_path: Path) -> None:
    root = put_local(tmp_path / "m", {"m.gguf": GGUF})
    authority = Authority("root", start=NOW - 30 * DAY, end=NOW + 30 * DAY)
    policy = Policy(allowed_signers=(Signer(certificate=authority.pem),))
    (tmp_path / "key.pem").write_bytes(private_pem(KEY))
    (tmp_path / "ca.pem").write_text(authority.pem)
    for end, status in ((NOW + DAY, "passed"), (NOW - DAY, "failed")):
        leaf = authority.issue("release", KEY, start=NOW - 3 * DAY, end=end)
        (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
        model_signing.signing.Config().use_certificate_signer(
            private_key=tmp_path / "key.pem",
            signing_certificate=tmp_path / "leaf.pem",
            certificate_chain=[tmp_path / "ca.pem"],
        ).sign(root, f"{root}/model.sig")
        result = _only(root, policy)
        assert result.verdict.status == status
    assert _reasons(result) == ["signature/invalid", "policy/signer"]


def test_identities_count(tmp_path: Path) -> None:
    sigstore = Sigstore()
    policy = Policy(allowed_signers=(Signer("", "", IDENTITY, ISSUER, sigstore.trusted_root()),))
    files = {"m.gguf": GGUF, "m.gguf.sigstore.json": sigstore.sign_file(sha256(GGUF))}
    root = put_local(tmp_path, files)
    assert verify(root, policy=policy).passed
    put_local(tmp_path, {"m.gguf": OTHER})
    assert not _only(root, policy).passed


@pytest.fixture
def policy_file(tmp_path: Path) -> str:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/release.pem").write_text(public_pem(KEY))
    path = tmp_path / "policy.yaml"
    path.write_text("allowed_signers:\n  - public_key: keys/release.pem\n")
    return str(path)


def test_the_command_verifies(
    model: str, policy_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", model, "--policy", policy_file]) == 0
    ran = main(["exec", f"{model}/m.gguf", "--policy", policy_file, "--", "true"])
    assert ran == 0
    assert main(["scan", model, "--policy", policy_file, "--hash", "full"]) == 0
    capsys.readouterr()
    (Path(model) / "m.gguf").write_bytes(OTHER)
    assert main(["verify", model, "--policy", policy_file]) == 1
    assert "policy/signer" in capsys.readouterr().err
    assert main(["exec", f"{model}/m.gguf", "--policy", policy_file, "--", "true"]) == 1


def test_the_command_refuses_a_policy_it_cannot_hold_to(
    model: str,
    policy_file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delitem(sys.modules, "prefect_mutagen.scanner.signing.keys", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.x509.verification", None)
    output = Path(model).parent / "out.json"
    for words in (["verify", model], ["scan", model, "--output", str(output)]):
        assert main([*words, "--policy", policy_file]) == 2
        assert "pip install 'prefect-mutagen[signing]'" in capsys.readouterr().err
    assert not output.exists()
    with pytest.raises(ValueError, match="prefect-mutagen"):
        list(scan(model, policy=POLICY))
    with pytest.raises(ValueError, match="prefect-mutagen"):
        verify(model, policy=POLICY)
