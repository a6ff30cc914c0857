"""Verify signatures made under Sigstore's identities, without a network.

The certificate lives for minutes; that it was in use while it was valid is proven by a transparency
log, whose promise and proof lie in the bundle. All of this is the library's work. What is trusted
is the public instance's root as the library has it (in the user's cache, else as it was shipped),
or that of a private instance, which the policy carries.
"""

import logging
import os
import tempfile
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from sigstore.errors import Error
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier as BundleVerifier
from sigstore.verify.policy import Identity
from sigstore_models.common.v1 import HashAlgorithm

from prefect_mutagen.scanner.signing.document import Outcome, SignedDocument
from prefect_mutagen.scanner.signing.signers import Signer

__all__ = ["IdentityVerifier"]

# The library warns that it stays offline, which is what is wanted; a command would show that.
logging.getLogger("sigstore").addHandler(logging.NullHandler())

_SHOWN: Final = 300
_BAD_BUNDLE: Final = (
    Error,
    ArithmeticError,
    AttributeError,
    InvalidSignature,
    LookupError,
    RecursionError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises over bundles that strangers wrote; it names only the first itself."""


class IdentityVerifier:
    """A signer who is known by an identity and by who vouches for it."""

    def __init__(self, signer: Signer) -> None:
        """Load what is trusted.

        Args:
            signer: One with an identity.

        Raises:
            ValueError: The trusted root is none, or cannot be kept in the user's cache.
        """
        self.name = signer.name
        self._identity = Identity(identity=signer.identity, issuer=signer.issuer)
        try:
            self._verifier = _bundle_verifier(signer.trusted_root)
        except OSError as problem:
            reason = f"the root of Sigstore cannot be read: {problem.strerror}"
            raise ValueError(f"{self.name}: {reason}") from None
        except _BAD_BUNDLE as problem:
            reason = f"the trusted root is none: {str(problem)[:_SHOWN]!a}"
            raise ValueError(f"{self.name}: {reason}") from None

    def check(self, document: SignedDocument) -> Outcome:
        """See `scanner.signing.document.Verifier`."""
        if not document.certificates:
            return Outcome()
        try:
            bundle = Bundle.from_json(document.text)
            if document.message:
                _, payload = self._verifier.verify_dsse(bundle, self._identity)
                # What the library read has to be what was read here.
                return Outcome(genuine=payload == document.payload)
            digest = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=document.sha256)
            self._verifier.verify_artifact(digest, bundle, self._identity)
        except _BAD_BUNDLE as problem:
            return Outcome(detail=f"{str(problem)[:_SHOWN]!a}")
        return Outcome(genuine=True)


def _bundle_verifier(trusted_root: str) -> BundleVerifier:
    if not trusted_root:
        return BundleVerifier.production(offline=True)
    with tempfile.TemporaryDirectory(prefix="mutagen-") as folder:
        path = os.path.join(folder, "trusted_root.json")
        with open(path, "wb") as file:
            file.write(trusted_root.encode("utf-8", "surrogatepass"))
        return BundleVerifier(trusted_root=TrustedRoot.from_file(path))
