"""Signatures by certificates: whose chain is trusted, and for how long."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from prefect_mutagen.scanner.policy.policy import Signer
from prefect_mutagen.scanner.signing.check import Checked, SignatureChecker
from tests.certificates import DAY, NOW, Authority, chain_material, signed_bundle
from tests.signing import oms, sha256

STATEMENT = oms({"m.gguf": sha256(b"a model")})
MONTH: dict[str, Any] = {"start": NOW - 30 * DAY, "end": NOW + 30 * DAY}
ROOT = Authority("root", **MONTH)
MIDDLE = Authority("middle", ROOT, **MONTH)
OTHER_ROOT = Authority("root")  # of the same name
KEY = ec.generate_private_key(ec.SECP256R1())
LEAF = MIDDLE.issue("release", KEY)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _check(trusted: str, *chain: x509.Certificate, key: Any = KEY) -> Checked:
    checker = SignatureChecker([Signer(certificate=trusted)])
    return checker.check("model.sig", signed_bundle(STATEMENT, key, chain_material(*chain)))


@pytest.mark.parametrize(
    ("trusted", "chain"),
    [
        (ROOT.pem, (LEAF, MIDDLE.certificate)),
        (ROOT.pem, (LEAF, MIDDLE.certificate, ROOT.certificate)),
        (MIDDLE.pem, (LEAF,)),
        (OTHER_ROOT.pem + ROOT.pem, (LEAF, MIDDLE.certificate)),
        (_pem(LEAF), (LEAF,)),
        ("a note\n" + ROOT.pem + MIDDLE.pem, (LEAF,)),
    ],
    ids=["root", "root-sent-too", "issuer", "one-of-two-roots", "the-very-one", "chain"],
)
def test_a_trusted_chain(trusted: str, chain: tuple[x509.Certificate, ...]) -> None:
    found = _check(trusted, *chain)
    (genuine,) = found.genuine
    assert genuine.signer == Signer(certificate=trusted).name
    assert genuine.expires == (NOW + DAY).isoformat()
    assert found.problem == ""


def test_the_first_that_expires_counts() -> None:
    middle = Authority("short", ROOT, end=NOW + timedelta(hours=1))
    (genuine,) = _check(ROOT.pem, middle.issue("release", KEY), middle.certificate).genuine
    assert genuine.expires == (NOW + timedelta(hours=1)).isoformat()


EXPIRED = MIDDLE.issue("release", KEY, start=NOW - 3 * DAY, end=NOW - DAY)
LATE = MIDDLE.issue("release", KEY, start=NOW + DAY, end=NOW + 2 * DAY)
SERVER = MIDDLE.issue("www", KEY, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        ((LEAF,), ""),
        ((OTHER_ROOT.issue("release", KEY), OTHER_ROOT.certificate), ""),
        ((OTHER_ROOT.issue("release", KEY), ROOT.certificate), ""),
        ((EXPIRED, MIDDLE.certificate), "expired on"),
        ((LATE, MIDDLE.certificate), "valid from"),
        ((SERVER, MIDDLE.certificate), "not issued for signing code"),
        (
            (MIDDLE.issue("release", KEY, digital_signature=False), MIDDLE.certificate),
            "not issued for signing code",
        ),
        ((MIDDLE.issue("release", ROOT.key), MIDDLE.certificate), "did not sign this"),
        ((MIDDLE.certificate, LEAF), "did not sign this"),
    ],
    ids=[
        "issuer-not-sent",
        "another-root-of-the-same-name",
        "issued-by-an-impostor",
        "expired",
        "not-yet-valid",
        "web-server",
        "key-not-for-signing",
        "certificate-of-another-key",
        "wrong-order",
    ],
)
def test_a_chain_that_is_not_trusted(chain: tuple[x509.Certificate, ...], problem: str) -> None:
    found = _check(ROOT.pem, *chain)
    assert found.genuine == ()
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)
    assert found.strangers == (0 if problem else 1)


def test_who_may_not_issue_issues_nothing() -> None:
    signer = Authority("mallory")
    end = MIDDLE.issue("release", signer.key)  # an honest certificate for signing
    signer.name = end.subject
    forged = signer.issue("ceo", KEY)
    assert _check(ROOT.pem, forged, end, MIDDLE.certificate).genuine == ()


def test_an_issuer_that_expired() -> None:
    middle = Authority("old", ROOT, start=NOW - 9 * DAY, end=NOW - DAY)
    leaf = middle.issue("release", KEY, start=NOW - 3 * DAY)
    found = _check(ROOT.pem, leaf, middle.certificate)
    assert (found.genuine, "expired on" in found.problem) == ((), True)
    assert "expired on" in _check(_pem(EXPIRED), EXPIRED).problem


def test_a_key_without_certificate_is_no_certificate() -> None:
    checker = SignatureChecker([Signer(certificate=ROOT.pem)])
    found = checker.check("model.sig", signed_bundle(STATEMENT, ROOT.key))
    assert (found.genuine, found.problem, found.strangers) == ((), "", 1)


def test_ed25519_signs_under_a_certificate_of_its_own() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    leaf = ROOT.issue("release", key)
    assert _check(_pem(leaf), leaf, key=key).genuine


def test_a_certificate_that_is_none() -> None:
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(ValueError, match=r"certificate sha256:.* is not a supported"):
        SignatureChecker([Signer(certificate=text)])
