"""Verify the signatures beside a model: which of them did one of the policy's signers make?

The libraries for it come with ``prefect-mutagen[signing]``, and are imported only when a policy
names signers. Without them such a policy is refused: nothing passes unverified.
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
"""Statements by which somebody stands up for a file, as its maker or publisher. Others say anything
about it, that it is bad included: reports of tests, of faults, of a scan."""


@dataclass(frozen=True, slots=True)
class Genuine:
    """A statement that one of the signers made."""

    signer: str
    """The signer's name."""
    statement: Signature
    expires: str = ""
    """Until when it counts, in ISO 8601; empty: for ever."""

    @property
    def vouches(self) -> bool:
        """Whether the signer stands up for the files, and does not only speak of them."""
        kinds = self.statement.predicates
        named = bool(kinds) and kinds[0].startswith(_VOUCHING)
        return named or self.statement.kind == "sigstore"


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of verifying one file beside a model."""

    genuine: tuple[Genuine, ...] = ()
    problem: str = ""
    """Why one of its signatures is bad, in a clause; empty when none is."""
    strangers: int = 0
    """Statements that none of the signers made."""
    detail: str = ""
    """Why one of these is a stranger's, where there is more to say."""


def check_signers(signers: Iterable[Signer]) -> None:
    """Make sure that signatures can be verified, before anything is examined.

    Args:
        signers: Those of a policy.

    Raises:
        ValueError: A library is missing, or a key, a certificate or a trusted root is none; the
            message says which, and what to do.
    """
    SignatureChecker(signers)


class SignatureChecker:
    """The signers of one policy, ready to verify."""

    def __init__(self, signers: Iterable[Signer]) -> None:
        """Load keys, certificates and roots; see `check_signers`.

        Args:
            signers: Those of a policy; without any, nothing is imported.
        """
        self._verifiers = tuple(_load(signer) for signer in signers)

    def check(self, name: str, raw: bytes) -> Checked:
        """Verify all signatures of a file.

        Args:
            name: The file's name.
            raw: Its bytes.

        Returns:
            What its signers state, and what is wrong. Nothing is raised for any input. Of a file
            with many statements, those behind the hundredth count as made by strangers.
        """
        try:
            texts = split(name, raw)
        except ValueError:
            return Checked()  # `read_signature` says what is wrong
        genuine: list[Genuine] = []
        problem = detail = ""
        strangers = max(0, len(texts) - _DOCUMENTS)
        for text in texts[:_DOCUMENTS]:
            document = read_document(name, text)
            outcomes = self._outcomes(document)
            found = [
                Genuine(signer, document.statement, outcome.expires)
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
    """Say in which way a document contradicts itself, or what it says of its signer."""
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
