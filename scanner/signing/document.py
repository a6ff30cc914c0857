"""What a signature was made over, and by whom it says it was made: plain bytes, nothing verified.

Read are DSSE envelopes, alone or in a sigstore bundle, and sigstore bundles that sign a file
itself. Everything is hostile: what is not as it should be is left out, and then nothing verifies.

Formats: DSSE 1.0 with its pre-authentication encoding, and version 0.3 of the sigstore bundle, of
which older versions say the same in other places.
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
    """What it names."""
    text: bytes
    """The document as it was found."""
    payload: bytes = b""
    """The statement itself; empty when a file is signed without one."""
    message: bytes = b""
    """What was signed: the payload and its type, encoded together."""
    sha256: bytes = b""
    """What was signed when there is no message: the digest of the signed file."""
    signatures: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()
    """Certificates in DER; that of the signer is the first."""
    hint: str = ""
    """Which key was used, as the document has it."""


class Outcome(NamedTuple):
    """What one signer's key says about a document."""

    genuine: bool = False
    """Whether the signer made one of its signatures."""
    expires: str = ""
    """Until when that counts, in ISO 8601; empty: for ever."""
    problem: str = ""
    """What is wrong, in a clause, when the document speaks of this signer and yet does not verify.
    Without it, the document is somebody else's."""
    detail: str = ""
    """Why it is taken for somebody else's, where there is more to say."""


class Verifier(Protocol):
    """One signer of a policy, ready to verify."""

    name: str
    """The name under which the signer's signatures are recorded."""

    def check(self, document: SignedDocument) -> Outcome:
        """Say whether the signer made one of the document's signatures; nothing is raised."""
        ...


def read_document(name: str, text: bytes) -> SignedDocument:
    """Read one document of a file beside a model.

    Args:
        name: The file's name.
        text: One of the texts that `scanner.signing.signatures.split` gives.

    Returns:
        What was signed; without signatures when it holds none that could be verified. Nothing is
        raised for any input.
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
    """Read a signature over a file; only one over its SHA-256 can be told from here."""
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
    """Find the certificates, or the hint which key it was."""
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
