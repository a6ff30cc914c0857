"""Who must have signed a model: plain data of a policy, and the name each signer goes by.

A signer is a public key, certificates that are trusted, or an identity that Sigstore vouches for.
What was verified is recorded under the signer's name, a fingerprint of all that it trusts. So the
record can be judged again under another policy without a library, and never speaks for a key that
was exchanged in the meantime.
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
"""Fields that a policy file may give as a path, each with what its text contains at once."""

_LABELS: Final = {"public_key": "PUBLIC KEY", "certificate": "CERTIFICATE"}
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_MOST: Final = 16


@dataclass(frozen=True)
class Signer:
    """Somebody whose signature counts: by a key, by certificates, or by an identity."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }

    public_key: str = ""
    """A public key in PEM: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits and more. A
    policy file may name a file instead."""
    certificate: str = ""
    """Certificates in PEM, each of which is trusted: a root's, an issuer's or the signer's own. A
    policy file may name a file instead."""
    identity: str = ""
    """A Sigstore identity: the mail address or the address of the workflow that signed."""
    issuer: str = ""
    """Who vouches for the identity: the address of its OpenID Connect provider."""
    trusted_root: str = ""
    """Trusted root of a private Sigstore instance, as JSON; empty: the public instance's, as the
    library carries it. A policy file may name a file instead."""

    def __post_init__(self) -> None:
        """Refuse what names nobody, or several.

        Raises:
            ValueError: Not exactly one of key, certificate and identity is given, or one is none.
        """
        given = [name for name in ("public_key", "certificate", "identity") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("a signer needs one of public_key, certificate and identity")
        if given != ["identity"] and (self.issuer or self.trusted_root):
            raise ValueError("issuer and trusted_root belong to an identity")
        if given == ["identity"]:
            if not re.fullmatch(r"https?://[!-~]+", self.issuer):
                raise ValueError("an identity needs an issuer: the address of its provider")
            if not self.identity.isprintable() or self.identity != self.identity.strip():
                raise ValueError(f"this is no identity: {self.identity!a}")
            return
        # The value itself is never repeated: it may be the wrong half of a key pair.
        self.blocks()

    def blocks(self) -> tuple[bytes, ...]:
        """Give the key, or the certificates, as DER; none for an identity.

        Raises:
            ValueError: The text is not PEM of the right kind.
        """
        for field, label in _LABELS.items():
            if text := getattr(self, field):
                return pem_blocks(text, label, 1 if field == "public_key" else _MOST, field)
        return ()

    @property
    def name(self) -> str:
        """The name under which its signatures are recorded: of any two signers another one."""
        return _name(self)


@lru_cache(maxsize=256)
def _name(signer: Signer) -> str:
    """Name a signer; kept, because each artifact of a table asks for it."""
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
        text: Blocks, and anything between them.
        label: What each has to be, such as ``CERTIFICATE``.
        most: How many there may be.
        field: What to call the text in an error.

    Raises:
        ValueError: There is none, there are more, or one is something else.
    """
    found = _BLOCK.findall(text)
    if not found or any(kind != label for kind, _ in found):
        raise ValueError(f"{field} is not PEM that begins with -----BEGIN {label}-----")
    if len(found) > most:
        raise ValueError(f"{field} has more than {most} of -----BEGIN {label}-----")
    try:
        return tuple(base64.b64decode("".join(body.split()), validate=True) for _, body in found)
    except (binascii.Error, ValueError):
        raise ValueError(f"{field} is not PEM: its text is not Base64") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
