"""Verify signatures by Sigstore identities, without network access.

A Fulcio certificate is valid for minutes. The transparency log proves that it was used within that
time; the bundle carries the log's signed entry timestamp and inclusion proof. The library does all
of this. The trusted root is that of the public instance, as shipped with the library, or one that
the policy carries. The copy in the user's cache is neither read nor written: offline the library
takes it unverified, and every program of the user may write it.
"""

import logging
import os
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from sigstore._internal.tuf import DEFAULT_TUF_URL  # no public name says where the root lies
from sigstore._utils import read_embedded
from sigstore.errors import Error
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier as BundleVerifier
from sigstore.verify.policy import Identity
from sigstore_models.common.v1 import HashAlgorithm

from prefect_mutagen.scanner.signing.document import Outcome, SignedDocument
from prefect_mutagen.scanner.signing.signers import Signer
from prefect_mutagen.scanner.temporary import own_folder

__all__ = ["IdentityVerifier"]

# The library warns that it is offline, which is intended; keep that off the command's stderr.
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
"""What the library raises for malformed bundles; it documents only the first."""


class IdentityVerifier:
    """A signer known by an identity and the issuer that vouches for it."""

    def __init__(self, signer: Signer) -> None:
        """Load the trusted root.

        Args:
            signer: A signer with an identity.

        Raises:
            ValueError: The trusted root is invalid, or missing from the library's installation.
        """
        self.name = signer.name
        self._identity = Identity(identity=signer.identity, issuer=signer.issuer)
        try:
            self._verifier = _bundle_verifier(signer.trusted_root)
        except OSError as problem:
            reason = f"Sigstore's trusted root cannot be read: {problem.strerror}"
            raise ValueError(f"{self.name}: {reason}") from None
        except _BAD_BUNDLE as problem:
            reason = f"trusted_root is invalid: {str(problem)[:_SHOWN]!a}"
            raise ValueError(f"{self.name}: {reason}") from None

    def check(self, document: SignedDocument) -> Outcome:
        """See `scanner.signing.document.Verifier`."""
        if not document.certificates:
            return Outcome()
        try:
            bundle = Bundle.from_json(document.text)
            if document.message:
                _, payload = self._verifier.verify_dsse(bundle, self._identity)
                # The library must have parsed the same payload as this package did.
                return Outcome(genuine=payload == document.payload)
            digest = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=document.sha256)
            self._verifier.verify_artifact(digest, bundle, self._identity)
        except _BAD_BUNDLE as problem:
            return Outcome(detail=f"{str(problem)[:_SHOWN]!a}")
        return Outcome(genuine=True)


def _bundle_verifier(trusted_root: str) -> BundleVerifier:
    root = trusted_root.encode("utf-8", "surrogatepass")
    root = root or read_embedded("trusted_root.json", DEFAULT_TUF_URL)
    with own_folder() as folder:
        path = os.path.join(folder, "trusted_root.json")
        with open(path, "wb") as file:
            file.write(root)
        return BundleVerifier(trusted_root=TrustedRoot.from_file(path))
