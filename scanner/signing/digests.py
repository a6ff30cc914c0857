"""Compare the digests in signatures and attestations with the known digests of a model's files.

Where a policy names signers, the facts record which of them signed all of the files. The record is
keyed by the signer's name, so another policy can be judged by it without verifying again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.signing.check import Checked, Genuine, SignatureChecker
from prefect_mutagen.scanner.signing.signatures import Signature, read_signature

__all__ = ["Comparison", "KnownFiles", "compare", "look_at_signatures"]

_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the digests in one signature compare with a model's files, by file name."""

    agree: tuple[str, ...] = ()
    """Files whose SHA-256 matches."""
    differ: tuple[str, ...] = ()
    """Files whose SHA-256 differs."""
    unknown: tuple[str, ...] = ()
    """Files it names where either digest is unknown."""

    @property
    def names(self) -> frozenset[str]:
        """All files that the signature names."""
        return frozenset((*self.agree, *self.differ, *self.unknown))


def compare(signature: Signature, sha256: Mapping[str, str]) -> Comparison:
    """Compare the digests that a signature names with the known ones.

    Args:
        signature: A signature from `read_signature`.
        sha256: SHA-256 in hexadecimal by file path, relative to the signature's folder; empty where
            unknown.

    Returns:
        The files the signature names. A file that it does not name still agrees when its digest is
        listed under another name, because files get renamed.
    """
    all_digests = frozenset[str]().union(*signature.digests.values())
    agree, differ, unknown = [], [], []
    for name, known in sha256.items():
        named = signature.digests.get(name)
        if named is None:
            if known and known.lower() in all_digests:
                agree.append(name)
        elif not named or not known:
            unknown.append(name)
        elif known.lower() in named:
            agree.append(name)
        else:
            differ.append(name)
    return Comparison(tuple(agree), tuple(differ), tuple(unknown))


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """SHA-256 values of the files beside a signature, by file name; empty where unknown."""

    own: Mapping[str, str]
    """The model's own files, with digests from any source."""
    hashed: Mapping[str, str] = field(default_factory=dict)
    """The same files, with digests computed from the bytes, here or by the storage. A checksum file
    beside the model proves nothing: whoever can replace the model can replace that file too."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Files that describe the model, such as config.json."""


@dataclass(slots=True)
class _SignedFiles:
    """Which files each signer signed."""

    expiry: dict[str, dict[str, str]] = field(default_factory=dict)
    """When the signature stops counting, by signer and file name."""
    beside: set[str] = field(default_factory=set)
    whole: bool = False
    """Whether a signature covers the model's whole folder."""

    def add(self, genuine: Genuine, known: KnownFiles) -> frozenset[str]:
        """Record what a genuine signature covers; return the model's own files among it."""
        found = frozenset(compare(genuine.statement, known.hashed).agree)
        files = self.expiry.setdefault(genuine.signer, {})
        for name in found:
            files[name] = _later(files.get(name), genuine.expires)
        if found:
            # By name, because the loader goes by it: a signed file under another name means
            # something else.
            signed = genuine.statement.digests
            self.beside.update(
                name for name, digest in known.beside.items() if digest in signed.get(name, ())
            )
            self.beside |= genuine.statement.exempt
            self.whole = self.whole or genuine.statement.whole
        return found

    def signers(self, own: Iterable[str]) -> list[dict[str, str]]:
        """Return the signers that signed all of the model's files, with their earliest expiry."""
        names = set(own)
        return [
            {"name": signer, "expires": min((when for when in files.values() if when), default="")}
            for signer, files in self.expiry.items()
            if names and files.keys() >= names
        ]


def look_at_signatures(
    files: Mapping[str, tuple[str, bytes]],
    known: KnownFiles,
    checker: SignatureChecker | None = None,
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Read all signatures beside a model and compare them with the known digests.

    Args:
        files: Address and bytes, up to `SIGNATURE_LIMIT`, of each signature file, by name.
        known: The SHA-256 values to compare with.
        checker: Verifies who signed; None: signatures are read but not verified.

    Returns:
        The entry ``signature`` of the facts, empty without such files, and the findings. In the
        entry, ``covered`` is true when signed statements name every file of the model and no digest
        differs; ``signers`` lists the signers that signed all of the model's files.
    """
    facts: list[dict[str, Any]] = []
    findings: list[Finding] = []
    covered: set[str] = set()
    differing = False
    signed = _SignedFiles()
    for name, (url, raw) in files.items():
        signature = read_signature(name, raw)
        found = compare(signature, {**known.beside, **known.own})
        differing = differing or bool(found.differ)
        if signature.signed:
            covered.update(found.names)
        facts.append(_facts(signature, found))
        findings += _differences(signature, found, url)
        if checker is not None and not signature.problem:
            findings += _verified(checker.check(name, raw), name, known, signed, url)
        elif not found.differ:
            findings += _unverified(signature, found, known.own, url)
    if not facts:
        return {}, ()
    if signed.whole:
        where = next(iter(files.values()))[0]
        findings += _unsigned(known.beside.keys() - signed.beside, where)
    complete = bool(known.own) and not differing and covered >= known.own.keys()
    entry: dict[str, Any] = {"covered": complete, "files": facts[:_LISTED]}
    if checker is not None:
        entry["signers"] = signed.signers(known.own)
    return entry, tuple(findings)


def _later(one: str | None, other: str) -> str:
    """Return the later of two expiry times; empty never expires, so it is the latest."""
    if one is None or not one:
        return other if one is None else ""
    return max(one, other) if other else ""


def _facts(signature: Signature, found: Comparison) -> dict[str, Any]:
    entry = {
        "name": signature.name,
        "kind": signature.kind,
        "signed": signature.signed,
        "predicates": list(signature.predicates),
        "problem": signature.problem,
        "agree": list(found.agree[:_LISTED]),
        "differ": list(found.differ[:_LISTED]),
        "unknown": list(found.unknown[:_LISTED]),
    }
    return {key: value for key, value in entry.items() if value not in ("", [])}


def _differences(signature: Signature, found: Comparison, url: str) -> Iterator[Finding]:
    name = signature.name
    if signature.problem:
        message = f"{shown(name)} cannot be read: {signature.problem}"
        yield make_finding("signature/unreadable", message, url=url, field=name)
    for target in found.differ:
        stated = ", ".join(sorted(signature.digests[target])[:4])
        message = f"{shown(name)} names another SHA-256 for {shown(target)}: {stated}"
        yield make_finding("signature/mismatch", message, url=url, field=target)


def _unverified(
    signature: Signature, found: Comparison, own: Iterable[str], url: str
) -> Iterator[Finding]:
    """Report which of the model's files an unverified signature names."""
    name = signature.name
    if signature.problem:
        return
    named = found.names.intersection(own)
    if named:
        known = "with the digests they have" if not found.unknown else "with digests not known here"
        message = f"{shown(name)} names {len(named)} of the model's files {known}"
    elif signature.kind == "oms":
        message = f"{shown(name)} does not name the model"
    else:
        return  # it signs something else in the same folder
    message += "; the signature itself is not verified"
    yield make_finding("signature/unverified", message, url=url, field=name)


def _verified(
    checked: Checked, name: str, known: KnownFiles, signed: _SignedFiles, url: str
) -> Iterator[Finding]:
    """Report the result of verifying a file's signatures and record who signed what."""
    if checked.problem:
        message = f"{shown(name)} does not verify: {checked.problem}"
        yield make_finding("signature/invalid", message, url=url, field=name)
    if checked.strangers:
        held = "a statement" if checked.strangers == 1 else f"{checked.strangers} statements"
        message = f"{shown(name)} holds {held} that none of the allowed signers made"
        if checked.detail:
            message += f": {checked.detail}"
        yield make_finding("signature/unknown-signer", message, url=url, field=name)
    unhashed = sorted(own for own in known.own if not known.hashed.get(own))
    for genuine in checked.genuine:
        about = f"{shown(name)} is a genuine signature of {genuine.signer!a}"
        if not genuine.vouches:
            about = f"{shown(name)} is a genuine attestation of {genuine.signer!a}"
            message = f"{about}, which says something about the model but does not sign it"
            yield make_finding("signature/unverified", message, url=url, field=name)
            continue
        found = signed.add(genuine, known)
        if found:
            message = f"{about} over {len(found)} of the model's files"
            yield make_finding("signature/verified", message, url=url, field=name)
        elif unhashed:
            message = f"{about}, but the bytes of {shown(unhashed[0])} were not hashed"
            yield make_finding("signature/unbound", message, url=url, field=name)


def _unsigned(names: Iterable[str], url: str) -> Iterator[Finding]:
    for name in sorted(names):
        message = f"{shown(name)} is not among the files that were signed together with the model"
        yield make_finding("signature/unsigned-file", message, url=url, field=name)
