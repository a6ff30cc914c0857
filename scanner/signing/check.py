"""Verify the signatures beside a model against the signers of a policy.

The cryptographic libraries come with ``prefect-mutagen[signing]`` and are imported only when a
policy names signers. Without them such a policy is refused: nothing passes unverified.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.signing.document import (
    Outcome,
    SignedDocument,
    Verifier,
    read_document,
)
from prefect_mutagen.scanner.signing.signatures import Signature, split
from prefect_mutagen.scanner.signing.signers import Signer

__all__ = ["Checked", "Genuine", "SignatureChecker", "check_signers"]

_DOCUMENTS: Final = 100
_VOUCHING: Final = (
    "https://model_signing/signature/",
    "https://sigstore.dev/cosign/sign/",
    "https://slsa.dev/provenance/",
    "https://in-toto.io/attestation/release/",
)
"""Predicate types by which a producer or publisher vouches for a file. Any other attestation, such
as a test report or a vulnerability scan, may just as well say that the file is bad."""


@dataclass(frozen=True, slots=True)
class Genuine:
    """A statement with a valid signature by one of the signers."""

    signer: str
    """The signer's name."""
    statement: Signature
    number: int
    """Its place among the statements of its file."""
    expires: str = ""
    """When the signature stops counting, in ISO 8601; empty: never."""

    @property
    def vouches(self) -> bool:
        """Whether the statement vouches for the files rather than only describing them."""
        kinds = self.statement.predicates
        named = bool(kinds) and kinds[0].startswith(_VOUCHING)
        return named or self.statement.kind == "sigstore"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of verifying one signature file."""

    genuine: tuple[Genuine, ...] = ()
    problem: str = ""
    """Why one of its signatures is invalid, as a clause; empty when none is."""
    strangers: int = 0
    """Number of statements that none of the signers signed."""
    detail: str = ""
    """Why the first of these did not verify, where the library gives a reason."""


def check_signers(signers: Iterable[Signer]) -> None:
    """Check that signatures can be verified, before anything is examined.

    Args:
        signers: The signers of a policy.

    Raises:
        ValueError: A library is missing, or a key, certificate or trusted root is invalid. The
            message says which and what to do.
    """
    SignatureChecker(signers)


class SignatureChecker:
    """Verifies signatures against the signers of one policy."""

    def __init__(self, signers: Iterable[Signer]) -> None:
        """Load keys, certificates and trusted roots; see `check_signers`.

        Args:
            signers: The signers of a policy. Without any, nothing is imported.
        """
        self._verifiers = tuple(_load(signer) for signer in signers)

    def check(self, name: str, raw: bytes) -> Checked:
        """Verify all signatures in a file; never raises, whatever the input.

        Args:
            name: The file's name.
            raw: Its bytes.

        Returns:
            The genuine statements and the first problem. Statements beyond the hundredth are not
            verified and count as signed by strangers.
        """
        try:
            texts = split(name, raw)
        except ValueError:
            return Checked()  # `read_signature` reports the reason
        genuine: list[Genuine] = []
        problem = detail = ""
        strangers = max(0, len(texts) - _DOCUMENTS)
        for number, text in enumerate(texts[:_DOCUMENTS]):
            document = read_document(name, text)
            outcomes = self._outcomes(document)
            found = [
                Genuine(signer, document.statement, number, outcome.expires)
                for signer, outcome in outcomes
                if outcome.genuine
            ]
            wrong = "" if found else _problem(document, outcomes)
            genuine += found
            problem = problem or wrong
            if not found and not wrong:
                strangers += 1
                detail = detail or next((one.detail for _, one in outcomes if one.detail), "")
        return Checked(tuple(genuine), problem, strangers, detail)

    def _outcomes(self, document: SignedDocument) -> list[tuple[str, Outcome]]:
        if not document.signatures:
            return []
        return [(verifier.name, verifier.check(document)) for verifier in self._verifiers]


def _problem(document: SignedDocument, outcomes: list[tuple[str, Outcome]]) -> str:
    """Return why a document's signature is invalid; empty when it is merely by somebody else."""
    if not outcomes:
        return ""
    from prefect_mutagen.scanner.signing.keys import own_problem

    return own_problem(document) or next((one.problem for _, one in outcomes if one.problem), "")


def _load(signer: Signer) -> Verifier:
    try:
        if signer.identity:
            from prefect_mutagen.scanner.signing.identities import IdentityVerifier

            return IdentityVerifier(signer)
        from prefect_mutagen.scanner.signing.keys import CertificateVerifier, KeyVerifier

        return KeyVerifier(signer) if signer.public_key else CertificateVerifier(signer)
    except ImportError as problem:
        missing = shown(problem.name or str(problem))
        message = f"allowed_signers needs {missing} to verify signatures"
        raise ValueError(f"{message}: pip install 'prefect-mutagen[signing]'") from None
