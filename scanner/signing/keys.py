"""Verify signatures by public keys and by certificates, without network access.

Certificates must be valid now. Nothing in such a bundle proves when it was signed, so a key that
leaked after its certificate had expired could be used to backdate a signature. For signatures that
must stay valid longer, name a key in the policy, or use a Sigstore identity, whose transparency log
proves the time.

Algorithms are those of Sigstore's registry for public keys; chains follow RFC 5280.
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
"""What the library raises for malformed certificates."""

_Key = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class KeyVerifier:
    """A signer known by a public key."""

    def __init__(self, signer: Signer) -> None:
        """Load the key.

        Args:
            signer: A signer with a public key.

        Raises:
            ValueError: The key is invalid, or of an unsupported kind or size.
        """
        self.name = signer.name
        (der,) = signer.blocks()
        try:
            self._key = _usable(load_der_public_key(der))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(f"{self.name} is not a supported public key") from None
        pem = self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        of_der, of_pem = hashlib.sha256(der), hashlib.sha256(pem)
        # All three are in use as the key hint of a bundle.
        base64_of_der = base64.b64encode(of_der.digest()).decode()
        self._hints = {of_pem.hexdigest(), of_der.hexdigest(), base64_of_der}

    def check(self, document: SignedDocument) -> Outcome:
        """See `scanner.signing.document.Verifier`."""
        if _signed_by(self._key, document):
            return Outcome(genuine=True)
        if document.hint in self._hints:
            return Outcome(problem=f"it names the {self.name}, which did not sign this")
        return Outcome()


class CertificateVerifier:
    """A signer whose certificate is trusted, or chains up to a trusted one."""

    def __init__(self, signer: Signer) -> None:
        """Load the trusted certificates.

        Args:
            signer: A signer with certificates.

        Raises:
            ValueError: A certificate is invalid, or has an unsupported key.
        """
        self.name = signer.name
        try:
            self._trusted = [x509.load_der_x509_certificate(der) for der in signer.blocks()]
            for certificate in self._trusted:
                _usable(certificate.public_key())
        except _BAD_CERTIFICATE:
            raise ValueError(f"{self.name} is not a supported certificate") from None

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
                # Expired, or not trusted at all? Verify at a time when it was valid.
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
        """Return the chain from the signer's certificate to a trusted one; None without one."""
        if own in self._trusted:
            valid = own.not_valid_before_utc <= now <= own.not_valid_after_utc
            return (own,) if valid else None
        try:
            return tuple(_verifier(self._trusted, now).verify(own, others).chain)
        except VerificationError:
            return None


def own_problem(document: SignedDocument) -> str:
    """Return why a document does not verify against the certificate it carries.

    Args:
        document: The signed document.

    Returns:
        A clause; empty when the signature matches, or when there is no certificate.
    """
    if not document.certificates:
        return ""
    try:
        key = _usable(x509.load_der_x509_certificate(document.certificates[0]).public_key())
    except _BAD_CERTIFICATE:
        return "its certificate cannot be used"
    return "" if _signed_by(key, document) else "the key of its certificate did not sign this"


def _usable(key: Any) -> _Key:
    """Return the key if its algorithm and size are supported.

    Raises:
        ValueError: They are not.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return key
    raise ValueError("unsupported key")


def _signed_by(key: _Key, document: SignedDocument) -> bool:
    """Whether a key made one of a document's signatures."""
    if isinstance(key, ed25519.Ed25519PublicKey) and not document.message:
        return False  # Ed25519 signs the message itself, never a digest
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
    """Yield a verification for each hash algorithm that the key may have signed with."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        yield lambda signature: key.verify(signature, document.message)
        return
    data, sha256 = document.message, SHA256()
    hashed: list[HashAlgorithm | utils.Prehashed] = [sha256]
    if not data:
        data, hashed = document.sha256, [utils.Prehashed(sha256)]
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.key_size > 256:
        # Many clients use SHA-256 whatever the curve.
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
    """Build a chain verifier without the web PKI's rules for names and purposes."""
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
    """Whether a certificate is for code signing; a web server's is not, whoever issued it."""
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
    """Return which certificate of a chain is not valid now; empty without a chain."""
    for certificate in chain:
        if certificate.not_valid_after_utc < now:
            return f"a certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        if certificate.not_valid_before_utc > now:
            start = certificate.not_valid_before_utc
            return f"a certificate is valid from {start:%Y-%m-%d} only"
    return ""
