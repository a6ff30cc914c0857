"""Signatures under identities, by a Sigstore of our own; nothing leaves the machine."""

import json
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sigstore.verify import Verifier as BundleVerifier

from prefect_mutagen.scanner.policy.policy import Signer
from prefect_mutagen.scanner.signing import identities
from prefect_mutagen.scanner.signing.check import Checked, SignatureChecker, check_signers
from tests.certificates import NOW, base64_of
from tests.signing import oms, sha256
from tests.sigstore_instance import IDENTITY, ISSUER, Sigstore

DIGEST = sha256(b"a model")
STATEMENT = oms({"m.gguf": DIGEST})
SIGSTORE = Sigstore()
ROOT = SIGSTORE.trusted_root()
SIGNER = Signer(identity=IDENTITY, issuer=ISSUER, trusted_root=ROOT)
CHECKER = SignatureChecker([SIGNER])


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a network was wanted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _check(raw: bytes, name: str = "model.sig") -> Checked:
    return CHECKER.check(name, raw)


def test_an_identity_signs_a_model() -> None:
    (genuine,) = _check(SIGSTORE.sign(STATEMENT)).genuine
    assert genuine.signer == SIGNER.name
    assert genuine.signer.startswith(f"{IDENTITY} ({ISSUER}) under sha256:")
    assert genuine.expires == ""
    assert genuine.statement.digests == {"m.gguf": frozenset({DIGEST})}


def test_an_identity_signs_a_file() -> None:
    (genuine,) = _check(SIGSTORE.sign_file(DIGEST), "m.gguf.sigstore.json").genuine
    assert genuine.vouches
    assert genuine.statement.digests == {"m.gguf": frozenset({DIGEST})}


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (SIGSTORE.sign(STATEMENT, identity="mallory@example.org"), "mallory@example.org"),
        (SIGSTORE.sign(STATEMENT, issuer="https://evil.example"), "evil.example"),
        (SIGSTORE.sign_file(DIGEST, identity="mallory@example.org"), "mallory@example.org"),
        (Sigstore().sign(STATEMENT), "certificate"),
        (SIGSTORE.sign(STATEMENT, logged=NOW + timedelta(hours=1)), "certificate"),
    ],
    ids=["identity", "issuer", "file", "another-instance", "signed-after-it-expired"],
)
def test_somebody_else(raw: bytes, detail: str) -> None:
    found = _check(raw, "m.gguf.sigstore.json")
    assert (found.genuine, found.problem, found.strangers) == ((), "", 1)
    assert detail in found.detail
    assert found.detail.isascii()


def _payload(document: Any) -> None:
    other = json.dumps(oms({"m.gguf": sha256(b"another model")})).encode()
    document["dsseEnvelope"]["payload"] = base64_of(other)


def _entry(document: Any) -> Any:
    return document["verificationMaterial"]["tlogEntries"][0]


def _other_entry(document: Any) -> None:
    other = json.loads(SIGSTORE.sign(oms({"m.gguf": sha256(b"another model")})))
    document["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]


CHANGES: dict[str, Callable[[Any], Any]] = {
    "payload": _payload,
    "no-log": lambda document: document["verificationMaterial"].pop("tlogEntries"),
    "empty-log": lambda document: document["verificationMaterial"]["tlogEntries"].clear(),
    "no-promise": lambda document: _entry(document).pop("inclusionPromise"),
    "another-time": lambda document: _entry(document).update(integratedTime=str(2**63)),
    "a-time-that-is-none": lambda document: _entry(document).update(integratedTime="-1"),
    "another-body": lambda document: _entry(document).update(canonicalizedBody="e30="),
    "another-entry": _other_entry,
    "another-index": lambda document: _entry(document).update(logIndex="7"),
    "a-tree-of-nothing": lambda document: _entry(document)["inclusionProof"].update(treeSize="0"),
    "a-checkpoint-of-nothing": lambda document: _entry(document)["inclusionProof"].update(
        checkpoint={"envelope": "\n\n\n"}
    ),
    "a-mark-that-is-no-base64": lambda document: _entry(document)["inclusionProof"].update(
        checkpoint={"envelope": "a\n1\nb\n\n\u2014 x *\n"}
    ),
    "numbers-for-texts": lambda document: _entry(document).update(logId=3),
    "no-media-type": lambda document: document.pop("mediaType"),
    "unknown-key": lambda document: document.update({"\u202e": "\ud800"}),
    "no-certificate": lambda document: document["verificationMaterial"].pop("certificate"),
    "certificate-cut": lambda document: document["verificationMaterial"].update(
        certificate={"rawBytes": "MIIB"}
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_bundle_that_was_changed(change: Callable[[Any], Any]) -> None:
    document = json.loads(SIGSTORE.sign(STATEMENT))
    change(document)
    found = _check(json.dumps(document).encode())
    assert found.genuine == ()
    assert found.problem or found.strangers
    assert (found.problem + found.detail).isascii()


@pytest.mark.parametrize(
    "root",
    ["{", "{}", '{"mediaType": 3}', '{"\ud800": 1}', ROOT.replace("0.1", "9.9")],
    ids=["no-json", "empty", "wrong-type", "unicode", "unknown-version"],
)
def test_a_trusted_root_that_is_none(root: str) -> None:
    with pytest.raises(ValueError, match="trusted_root is invalid"):
        check_signers([Signer(identity=IDENTITY, issuer=ISSUER, trusted_root=root)])


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folders, where every program of the user may write."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_the_public_instance_needs_no_network(user: Path) -> None:
    checker = SignatureChecker([Signer(identity=IDENTITY, issuer=ISSUER)])
    found = checker.check("model.sig", SIGSTORE.sign(STATEMENT))
    assert (found.genuine, found.problem, found.strangers) == ((), "", 1)
    assert not list(user.iterdir())  # nothing is left there for the next one to believe


def test_what_lies_in_the_cache_is_not_believed(user: Path) -> None:
    BundleVerifier.production(offline=True)  # makes the cache, as the sigstore command does
    (cached,) = user.rglob("trusted_root.json")
    cached.write_text(ROOT)
    checker = SignatureChecker([Signer(identity=IDENTITY, issuer=ISSUER)])
    assert checker.check("model.sig", SIGSTORE.sign(STATEMENT)).genuine == ()


def test_a_cache_that_cannot_be_written_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    check_signers([Signer(identity=IDENTITY, issuer=ISSUER)])


def test_an_installation_without_a_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(identities, "read_embedded", lost)
    with pytest.raises(ValueError, match="Sigstore's trusted root cannot be read"):
        check_signers([Signer(identity=IDENTITY, issuer=ISSUER)])
