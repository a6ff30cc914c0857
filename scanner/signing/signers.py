"""The signers a policy trusts, as plain data, and the name each of them is recorded under.

A signer is a public key, a set of trusted certificates, or a Sigstore identity. Verified signatures
are recorded under the signer's name, a fingerprint of everything it trusts. So the record can be
judged under another policy without the cryptographic libraries, and a key that was replaced
meanwhile does not match it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final

__all__ = ["TEXTS_OR_PATHS", "Signer", "pem_blocks"]

TEXTS_OR_PATHS: Final[Mapping[str, str]] = {
    "public_key": "-----BEGIN ",
    "certificate": "-----BEGIN ",
    "trusted_root": "{",
}
"""Fields that a policy file may give as a path, each with a marker of inline content."""

_LABELS: Final = {"public_key": "PUBLIC KEY", "certificate": "CERTIFICATE"}
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_MAX_CERTIFICATES: Final = 16


@dataclass(frozen=True)
class Signer:
    """A trusted signer: a public key, certificates, or a Sigstore identity."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }

    public_key: str = ""
    """A public key in PEM: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits and more. A
    policy file may give a path instead."""
    certificate: str = ""
    """Trusted certificates in PEM: a root's, an intermediate's or the signer's own. A policy file
    may give a path instead."""
    identity: str = ""
    """A Sigstore identity: the email address or workflow URL that signed."""
    issuer: str = ""
    """The URL of the OpenID Connect provider that issued the identity."""
    trusted_root: str = ""
    """Trusted root of a private Sigstore instance, as JSON; empty: the public instance's, as
    shipped with the library. A policy file may give a path instead."""

    def __post_init__(self) -> None:
        """Validate the fields.

        Raises:
            ValueError: Not exactly one of key, certificate and identity is given, or it is invalid.
        """
        given = [name for name in ("public_key", "certificate", "identity") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("a signer needs exactly one of public_key, certificate and identity")
        if given != ["identity"] and (self.issuer or self.trusted_root):
            raise ValueError("issuer and trusted_root are only valid with an identity")
        if given == ["identity"]:
            if not re.fullmatch(r"https?://[!-~]+", self.issuer):
                raise ValueError("an identity needs an issuer: the URL of its provider")
            if not self.identity.isprintable() or self.identity != self.identity.strip():
                raise ValueError(f"not a Sigstore identity: {self.identity!a}")
            return
        # No error repeats the value: it may be the private half of a key pair.
        self.blocks()

    def blocks(self) -> tuple[bytes, ...]:
        """Return the key or the certificates as DER; empty for an identity.

        Raises:
            ValueError: The text is not PEM with the right label.
        """
        for field, label in _LABELS.items():
            if text := getattr(self, field):
                most = 1 if field == "public_key" else _MAX_CERTIFICATES
                return pem_blocks(text, label, most, field)
        return ()

    @property
    def name(self) -> str:
        """The name its signatures are recorded under; unique to the signer."""
        return _name(self)


@lru_cache(maxsize=256)
def _name(signer: Signer) -> str:
    """Name a signer; cached, because judging asks for it once per artifact."""
    if signer.identity:
        name = f"{signer.identity} ({signer.issuer})"
        if signer.trusted_root:
            name += f" under sha256:{_digest(signer.trusted_root.encode('utf-8', 'surrogatepass'))}"
        return name
    kind = "public key" if signer.public_key else "certificate"
    return f"{kind} " + ", ".join(sorted(f"sha256:{_digest(der)}" for der in signer.blocks()))


def pem_blocks(text: str, label: str, most: int, field: str) -> tuple[bytes, ...]:
    """Decode the blocks of a PEM text.

    Args:
        text: PEM blocks, with anything between them.
        label: The expected label, such as ``CERTIFICATE``.
        most: The largest number of blocks.
        field: The field's name, for error messages.

    Raises:
        ValueError: There are no blocks, too many, or one with another label.
    """
    found = _BLOCK.findall(text)
    if not found or any(kind != label for kind, _ in found):
        raise ValueError(f"{field} is not PEM that begins with -----BEGIN {label}-----")
    if len(found) > most:
        raise ValueError(f"{field} has more than {most} PEM blocks")
    try:
        return tuple(base64.b64decode("".join(body.split()), validate=True) for _, body in found)
    except (binascii.Error, ValueError):
        raise ValueError(f"{field} is not PEM: its content is not Base64") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
