"""Verify signatures by keys and by certificates, without a network.

Certificates have to be valid now. Nothing in such a bundle proves when it was made, so that a key
that leaked after its certificate had expired could date a signature back. What has to hold longer
is signed by a key that the policy names, or under an identity of Sigstore, whose log keeps time.

Algorithms are those of Sigstore's registry for public keys; chains are those of RFC 5280.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from prefect_mutagen.scanner.signing.document import Outcome, SignedDocument
from prefect_mutagen.scanner.signing.signers import Signer

__all__ = ["CertificateVerifier", "KeyVerifier", "own_problem"]

_CURVES: Final[dict[str, HashAlgorithm]] = {
    "secp256r1": SHA256(),
    "secp384r1": SHA384(),
    "secp521r1": SHA512(),
}
_RSA_BITS: Final = range(2048, 8193)
_BAD_CERTIFICATE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises over certificates that are none."""

_Key = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class KeyVerifier:
    """A signer who is known by a public key."""

    def __init__(self, signer: Signer) -> None:
        """Load the key.

        Args:
            signer: One with a public key.

        Raises:
            ValueError: It is no key that can be used.
        """
        self.name = signer.name
        (der,) = signer.blocks()
        try:
            self._key = _usable(load_der_public_key(der))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(f"{self.name} is no key that signatures are verified by") from None
        pem = self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        own, digest = hashlib.sha256(der), hashlib.sha256(pem)
        # Each of these is in use as the hint which key it was.
        self._hints = {digest.hexdigest(), own.hexdigest(), base64.b64encode(own.digest()).decode()}

    def check(self, document: SignedDocument) -> Outcome:
        """See `scanner.signing.document.Verifier`."""
        if _signed_by(self._key, document):
            return Outcome(genuine=True)
        if document.hint in self._hints:
            return Outcome(problem=f"it names the {self.name}, which did not sign this")
        return Outcome()


class CertificateVerifier:
    """A signer whose certificate is trusted, or was issued by one that is."""

    def __init__(self, signer: Signer) -> None:
        """Load what is trusted.

        Args:
            signer: One with certificates.

        Raises:
            ValueError: One of them is none.
        """
        self.name = signer.name
        try:
            self._trusted = [x509.load_der_x509_certificate(der) for der in signer.blocks()]
            for certificate in self._trusted:
                _usable(certificate.public_key())
        except _BAD_CERTIFICATE:
            raise ValueError(f"{self.name} is none that signatures are verified by") from None

    def check(self, document: SignedDocument) -> Outcome:
        """See `scanner.signing.document.Verifier`."""
        if not document.certificates:
            return Outcome()
        now = datetime.now(UTC)
        try:
            own, *others = map(x509.load_der_x509_certificate, document.certificates)
            if not _signed_by(_usable(own.public_key()), document):
                return Outcome()
            chain = self._chain(own, others, now)
            if chain is None:
                # When it was valid, would it have been trusted?
                chain = self._chain(own, others, own.not_valid_before_utc) or ()
                return Outcome(problem=_out_of_date(chain, now))
            if own not in self._trusted and not _may_sign(own):
                return Outcome(problem="its certificate was not issued for signing code")
        except _BAD_CERTIFICATE:
            return Outcome(problem="a certificate in it cannot be read")
        expires = min(certificate.not_valid_after_utc for certificate in chain)
        return Outcome(genuine=True, expires=expires.isoformat())

    def _chain(
        self, own: x509.Certificate, others: list[x509.Certificate], now: datetime
    ) -> tuple[x509.Certificate, ...] | None:
        """Find the way from the signer's certificate to a trusted one; None when there is none."""
        if own in self._trusted:
            valid = own.not_valid_before_utc <= now <= own.not_valid_after_utc
            return (own,) if valid else None
        try:
            return tuple(_verifier(self._trusted, now).verify(own, others).chain)
        except VerificationError:
            return None


def own_problem(document: SignedDocument) -> str:
    """Say what is wrong between a document and the certificate that it carries itself.

    Args:
        document: What was signed.

    Returns:
        A clause; empty when all is well, or when it carries no certificate.
    """
    if not document.certificates:
        return ""
    try:
        key = _usable(x509.load_der_x509_certificate(document.certificates[0]).public_key())
    except _BAD_CERTIFICATE:
        return "its certificate cannot be used"
    return "" if _signed_by(key, document) else "the key of its certificate did not sign this"


def _usable(key: Any) -> _Key:
    """Give a key back that is of a kind and a strength that counts.

    Raises:
        ValueError: It is not.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return key
    raise ValueError("a key that does not count")


def _signed_by(key: _Key, document: SignedDocument) -> bool:
    """Say whether a key made one of a document's signatures."""
    if isinstance(key, ed25519.Ed25519PublicKey) and not document.message:
        return False  # it signs no digests
    return any(
        _accepts(verify, signature)
        for verify in _verifications(key, document)
        for signature in document.signatures
    )


def _accepts(verify: Callable[[bytes], None], signature: bytes) -> bool:
    try:
        verify(signature)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verifications(key: _Key, document: SignedDocument) -> Iterator[Callable[[bytes], None]]:
    """Give the ways in which a key may have signed."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        yield lambda signature: key.verify(signature, document.message)
        return
    data, sha256 = document.message, SHA256()
    hashed: list[HashAlgorithm | utils.Prehashed] = [sha256]
    if not data:
        data, hashed = document.sha256, [utils.Prehashed(sha256)]
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.key_size > 256:
        # Many clients take SHA-256 for each curve.
        hashed.append(_CURVES[key.curve.name])
    for algorithm in hashed:
        yield partial(_verify, key, data, algorithm)


def _verify(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    data: bytes,
    algorithm: HashAlgorithm | utils.Prehashed,
    signature: bytes,
) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), algorithm)
    else:
        key.verify(signature, data, ec.ECDSA(algorithm))


def _verifier(trusted: list[x509.Certificate], now: datetime) -> ClientVerifier:
    """Make what verifies a chain: the web's rules for names and purposes are not for code."""
    issuers = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_issuer)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _issues)
    )
    return (
        PolicyBuilder()
        .store(Store(trusted))
        .time(now)
        .extension_policies(ca_policy=issuers, ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )


def _is_issuer(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("it may not issue certificates")


def _issues(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key may not issue certificates")


def _may_sign(certificate: x509.Certificate) -> bool:
    """Say whether a certificate is for signing: that of a web server is not, whoever issued it."""
    usage = purposes = None
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.KeyUsage):
            usage = extension.value
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            purposes = extension.value
    if usage is not None and not usage.digital_signature:
        return False
    if purposes is not None:
        return ExtendedKeyUsageOID.CODE_SIGNING in purposes
    return usage is not None


def _out_of_date(chain: tuple[x509.Certificate, ...], now: datetime) -> str:
    """Say which certificate of a chain is not valid now; empty without a chain."""
    for certificate in chain:
        if certificate.not_valid_after_utc < now:
            return f"a certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        if certificate.not_valid_before_utc > now:
            start = certificate.not_valid_before_utc
            return f"a certificate is valid from {start:%Y-%m-%d} only"
    return ""
