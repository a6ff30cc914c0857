"""Extract the signed bytes, signatures and certificates of a document; nothing is verified here.

Supported are DSSE envelopes, alone or in a sigstore bundle, and sigstore bundles that sign a file
directly. The input is untrusted: malformed parts are dropped, so that verification fails.

Formats: DSSE 1.0 with its pre-authentication encoding (PAE), and version 0.3 of the sigstore
bundle. Older bundle versions hold the same values under other keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from prefect_mutagen.scanner.content.safe_load import load_json
from prefect_mutagen.scanner.signing.signatures import Signature, decode, read_signature

__all__ = ["Outcome", "SignedDocument", "Verifier", "read_document"]

_SIGNATURES: Final = 4
_CERTIFICATES: Final = 8
_CERTIFICATE_BYTES: Final = 1 << 16
_SIGNATURE_BYTES: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """One statement with its signatures."""

    statement: Signature
    """The parsed statement."""
    text: bytes
    """The raw document."""
    payload: bytes = b""
    """The statement's bytes; empty when a file is signed directly."""
    message: bytes = b""
    """The signed message: the DSSE pre-authentication encoding of payload type and payload."""
    sha256: bytes = b""
    """The signed file's digest, when there is no message."""
    signatures: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()
    """Certificates in DER, the signer's first."""
    hint: str = ""
    """Key hint or key id, as stated in the document."""


class Outcome(NamedTuple):
    """The result of verifying a document against one signer."""

    genuine: bool = False
    """Whether the signer made one of its signatures."""
    expires: str = ""
    """When the signature stops counting, in ISO 8601; empty: never."""
    problem: str = ""
    """Why verification failed, as a clause, when the document claims to be by this signer. Empty:
    the document is by somebody else."""
    detail: str = ""
    """Why the document is taken to be by somebody else, where the library gives a reason."""


class Verifier(Protocol):
    """Verifies documents against one signer of a policy."""

    name: str
    """The name under which the signer's signatures are recorded."""

    def check(self, document: SignedDocument) -> Outcome:
        """Verify a document; never raises, whatever its content."""
        ...


def read_document(name: str, text: bytes) -> SignedDocument:
    """Read one document of a signature file; never raises, whatever the input.

    Args:
        name: The file's name.
        text: One document, as returned by `scanner.signing.signatures.split`.

    Returns:
        The signed document, without signatures when it has none that can be verified.
    """
    statement = read_signature(name, text)
    if statement.problem or not statement.signed:
        return SignedDocument(statement, text)
    values = load_json(text).values
    certificates, hint = _material(values.get("verificationMaterial"))
    if "messageSignature" in values:
        return _message(values["messageSignature"], statement, text, certificates)
    envelope = values.get("dsseEnvelope", values)
    payload = decode(envelope["payload"]) or b""
    kind = envelope["payloadType"].encode()
    entries = envelope["signatures"]
    signatures = [decode(entry["sig"]) or b"" for entry in entries[:_SIGNATURES]]
    hints = [entry.get("keyid") for entry in entries[:_SIGNATURES]]
    return SignedDocument(
        statement,
        text,
        payload,
        b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload),
        signatures=_short(signatures),
        certificates=certificates,
        hint=hint or next((text for text in hints if isinstance(text, str) and text), ""),
    )


def _message(
    message: Mapping[str, Any], statement: Signature, text: bytes, certificates: tuple[bytes, ...]
) -> SignedDocument:
    """Read a signature over a file; only one over a SHA-256 can be verified without the file."""
    digest = message["messageDigest"]
    if digest.get("algorithm") not in ("SHA2_256", 1):
        return SignedDocument(statement, text)
    return SignedDocument(
        statement,
        text,
        sha256=decode(digest.get("digest")) or b"",
        signatures=_short([decode(message.get("signature")) or b""]),
        certificates=certificates,
    )


def _short(signatures: list[bytes]) -> tuple[bytes, ...]:
    return tuple(entry for entry in signatures if 0 < len(entry) <= _SIGNATURE_BYTES)


def _material(material: object) -> tuple[tuple[bytes, ...], str]:
    """Return the certificates and the key hint of a bundle's verification material."""
    if not isinstance(material, dict):
        return (), ""
    chain = material.get("x509CertificateChain")
    listed = chain.get("certificates") if isinstance(chain, dict) else [material.get("certificate")]
    found: list[bytes] = []
    for entry in listed[:_CERTIFICATES] if isinstance(listed, list) else ():
        der = decode(entry.get("rawBytes")) if isinstance(entry, dict) else None
        if der and len(der) <= _CERTIFICATE_BYTES:
            found.append(der)
    key = material.get("publicKey")
    hint = key.get("hint") if isinstance(key, dict) else ""
    return tuple(found), hint if isinstance(hint, str) else ""
