"""Signatures by keys: which are genuine, and what hostile bundles come to."""

import base64
import hashlib
import json
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from prefect_mutagen.scanner.policy.policy import Signer
from prefect_mutagen.scanner.signing.check import Checked, SignatureChecker, check_signers
from tests.certificates import (
    base64_of,
    key_material,
    pae,
    public_pem,
    sign,
    signed_bundle,
    signed_file,
)
from tests.signing import attestation, bundle, envelope, oms, sha256

DIGEST = sha256(b"a model")
STATEMENT = oms({"m.gguf": DIGEST})
OURS = ec.generate_private_key(ec.SECP256R1())
THEIRS = ec.generate_private_key(ec.SECP256R1())
SIGNER = Signer(public_key=public_pem(OURS))
CHECKER = SignatureChecker([SIGNER])
GENUINE = signed_bundle(STATEMENT, OURS)
HINT = hashlib.sha256(public_pem(OURS).encode()).hexdigest()


def _check(raw: bytes, name: str = "model.sig", checker: SignatureChecker = CHECKER) -> Checked:
    return checker.check(name, raw)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["p-256", "p-384", "p-521", "ed25519", "rsa"],
)
def test_every_kind_of_key(key: Any) -> None:
    signer = Signer(public_key=public_pem(key))
    checker = SignatureChecker([SIGNER, signer])
    (genuine,) = _check(signed_bundle(STATEMENT, key), checker=checker).genuine
    assert genuine.signer == signer.name
    assert genuine.statement.digests == {"m.gguf": frozenset({DIGEST})}
    assert genuine.vouches
    assert _check(signed_bundle(STATEMENT, key)).genuine == ()
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        found = _check(signed_file(DIGEST, key), "m.gguf.sigstore.json", checker)
        assert found.genuine[0].signer == signer.name
        assert found.genuine[0].statement.digests == {"m.gguf": frozenset({DIGEST})}


def _changed(**changes: Any) -> bytes:
    document = json.loads(GENUINE)
    document["dsseEnvelope"] |= changes
    return json.dumps(document).encode()


OTHER = json.dumps(oms({"m.gguf": sha256(b"another model")})).encode()
SIGNATURE = json.loads(GENUINE)["dsseEnvelope"]["signatures"][0]["sig"]
MANY = [{"sig": base64_of(bytes([n]) * 70)} for n in range(4)]
HOSTILE: dict[str, tuple[bytes, bool]] = {
    "another-key": (signed_bundle(STATEMENT, THEIRS), False),
    "another-key-that-says-it-is-ours": (
        signed_bundle(STATEMENT, THEIRS, key_material(HINT)),
        True,
    ),
    "payload-changed": (_changed(payload=base64_of(OTHER)), False),
    "payload-changed-by-a-blank": (
        _changed(payload=base64_of(json.dumps(STATEMENT).encode() + b" ")),
        False,
    ),
    "signed-without-its-type": (
        bundle(
            STATEMENT,
            signatures=[{"sig": base64_of(sign(OURS, json.dumps(STATEMENT).encode()))}],
        ),
        False,
    ),
    "signed-as-another-type": (
        bundle(
            STATEMENT,
            signatures=[
                {"sig": base64_of(sign(OURS, pae(json.dumps(STATEMENT).encode(), "text/plain")))}
            ],
        ),
        False,
    ),
    "signature-made-up": (bundle(STATEMENT), False),
    "signature-empty": (_changed(signatures=[{"sig": ""}]), False),
    "signature-no-base64": (_changed(signatures=[{"sig": "*" * 96}]), False),
    "signature-a-number": (_changed(signatures=[{"sig": 7}]), False),
    "signature-of-a-megabyte": (_changed(signatures=[{"sig": "A" * (1 << 20)}]), False),
    "signature-behind-four-others": (_changed(signatures=[*MANY, {"sig": SIGNATURE}]), False),
    "no-signatures": (_changed(signatures=[]), False),
    "signatures-no-list": (_changed(signatures={"sig": SIGNATURE}), False),
    "a-bare-statement": (json.dumps(STATEMENT).encode(), False),
    "keyid-that-says-it-is-ours": (
        bundle(STATEMENT, signatures=[{"sig": SIGNATURE[::-1], "keyid": HINT}]),
        False,  # the bundle names another key itself
    ),
    "bare-envelope-that-says-it-is-ours": (
        json.dumps(envelope(OTHER, signatures=[{"sig": SIGNATURE, "keyid": HINT}])).encode(),
        True,
    ),
    "material-no-object": (signed_bundle(STATEMENT, THEIRS, ["x"]), False),
    "certificates-no-list": (
        signed_bundle(STATEMENT, THEIRS, {"x509CertificateChain": {"certificates": 3}}),
        False,
    ),
    "certificate-no-certificate": (
        signed_bundle(STATEMENT, THEIRS, {"certificate": {"rawBytes": "AAAA"}}),
        True,
    ),
    "unicode": (signed_bundle(STATEMENT, THEIRS, key_material("\u202e\ud800\x1b[31m")), False),
}


@pytest.mark.parametrize(
    ("raw", "contradicts"), HOSTILE.values(), ids=[name.replace(" ", "-") for name in HOSTILE]
)
def test_what_is_not_genuine(raw: bytes, contradicts: bool) -> None:  # noqa: FBT001 - a column
    found = _check(raw)
    assert found.genuine == ()
    assert bool(found.problem) == contradicts
    assert found.strangers == (0 if contradicts else 1)
    assert found.problem.isascii()


def _both(one: bytes, other: bytes) -> bytes:
    return json.dumps(json.loads(other) | json.loads(one)).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        _both(bundle(json.loads(OTHER)), signed_file(DIGEST, OURS)),
        _both(signed_file(sha256(b"another model"), THEIRS), GENUINE),
        _both(json.dumps(envelope(OTHER)).encode(), GENUINE),
        _both(OTHER, GENUINE),
        b"\xff\xfe",
        b"{}",
        b"[" * 100_000,
        b"{" * 50 + b"}" * 50,
        b'{"dsseEnvelope":null}',
        GENUINE[:-1],
        GENUINE.replace(b'"payload"', b'"payload":"","payload"'),
        b" " * (50 << 20),
        GENUINE + b" " * (50 << 20),
    ],
    ids=[
        "empty",
        "envelope-beside-a-genuine-file",
        "file-beside-a-genuine-envelope",
        "envelope-beside-a-genuine-bundle",
        "statement-beside-a-genuine-bundle",
        "no-text",
        "empty-object",
        "deep",
        "no-json",
        "no-envelope",
        "cut",
        "payload-twice",
        "50-MB-of-nothing",
        "50-MB",
    ],
)
def test_what_cannot_be_read_is_not_genuine(raw: bytes) -> None:
    assert not _check(raw).genuine


def test_one_good_signature_among_others_is_enough() -> None:
    (genuine,) = _check(_changed(signatures=[*MANY[:3], {"sig": SIGNATURE}])).genuine
    assert genuine.signer == SIGNER.name


def test_each_line_stands_for_itself() -> None:
    def line(statement: Any, key: Any) -> bytes:
        payload = json.dumps(statement).encode()
        signed = {"sig": base64_of(sign(key, pae(payload)))}
        return json.dumps(envelope(payload, signatures=[signed])).encode()

    other = sha256(b"bad")
    lines = [
        line(attestation({"good": DIGEST}), OURS),
        line(attestation({"bad": other}), THEIRS),
        json.dumps(attestation({"bad": other})).encode(),
    ]
    found = _check(b"\n".join(lines), "x.intoto.jsonl")
    (genuine,) = found.genuine
    assert genuine.statement.digests.keys() == {"good"}
    assert found.strangers == 2
    assert len(_check(b"\n".join(lines[:1] * 150), "x.intoto.jsonl").genuine) == 100
    assert not _check(b"\n".join(lines[:1] * 1001), "x.intoto.jsonl").genuine


@pytest.mark.parametrize(
    ("kind", "vouches"),
    [
        ("https://slsa.dev/provenance/v1", True),
        ("https://sigstore.dev/cosign/sign/v1", True),
        ("https://in-toto.io/attestation/test-result/v0.1", False),
        ("https://slsa.dev/verification_summary/v1", False),
        ("'https://slsa.dev/provenance/v1", False),
        (None, False),
    ],
)
def test_not_every_statement_vouches_for_a_file(kind: Any, vouches: bool) -> None:  # noqa: FBT001 - a column
    raw = signed_bundle(attestation({"m.gguf": DIGEST}, predicateType=kind), OURS)
    (genuine,) = _check(raw, "m.gguf.intoto.json").genuine
    assert genuine.vouches == vouches


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 1024),  # noqa: S505 - it is what has to be refused
    ],
    ids=["secp256k1", "rsa-1024"],
)
def test_keys_that_do_not_count(key: Any) -> None:
    with pytest.raises(ValueError, match="is not a supported public key"):
        check_signers([Signer(public_key=public_pem(key))])


def test_keys_that_are_none() -> None:
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(b'none').decode()}\n"
    with pytest.raises(ValueError, match="is not a supported public key"):
        check_signers([Signer(public_key=f"{pem}-----END PUBLIC KEY-----\n")])


@pytest.mark.parametrize(
    ("missing", "signer"),
    [
        ("cryptography.x509.verification", SIGNER),
        ("sigstore.verify", Signer(identity="a@example.org", issuer="https://example.org")),
    ],
)
def test_without_the_extra_the_policy_is_refused(
    monkeypatch: pytest.MonkeyPatch, missing: str, signer: Signer
) -> None:
    for name in ("keys", "identities"):
        monkeypatch.delitem(sys.modules, f"prefect_mutagen.scanner.signing.{name}", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=r"pip install 'prefect-mutagen\[signing\]'"):
        check_signers([signer])
