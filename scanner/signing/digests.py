"""Compare what signatures and attestations name with what is known about a model's files.

Where a policy names signers, it is recorded which of them signed all of the files: under the
signer's name, so that another policy can be judged by the record.
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
    """What one signature says about the files of a model, by their names."""

    agree: tuple[str, ...] = ()
    """Files that have the SHA-256 it names."""
    differ: tuple[str, ...] = ()
    """Files that have another one."""
    unknown: tuple[str, ...] = ()
    """Files it names, where one of the two digests is not known."""

    @property
    def names(self) -> frozenset[str]:
        """Files that it speaks of at all."""
        return frozenset((*self.agree, *self.differ, *self.unknown))


def compare(signature: Signature, sha256: Mapping[str, str]) -> Comparison:
    """Compare the digests that a signature names with those that are known.

    Args:
        signature: What `read_signature` gave.
        sha256: For each file, by its path from the signature's folder, its SHA-256 in
            hexadecimal, or the empty text.

    Returns:
        The files it speaks of. One that it names otherwise, or not at all, counts when it has the
        same digest: files are renamed.
    """
    everything = frozenset[str]().union(*signature.digests.values())
    agree, differ, unknown = [], [], []
    for name, known in sha256.items():
        named = signature.digests.get(name)
        if named is None:
            if known and known.lower() in everything:
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
    """SHA-256 values of the files beside a signature, by their names; empty where not known."""

    own: Mapping[str, str]
    """The model's own files, as somebody states it."""
    hashed: Mapping[str, str] = field(default_factory=dict)
    """The same files, as far as their bytes were hashed, here or by the storage that holds them. A
    statement beside the model is no proof: who changes the one can change the other."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Files that describe the model (config.json and kin)."""


@dataclass(slots=True)
class _SignedFiles:
    """Who signed what."""

    until: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each signer and each of the model's files, until when the signature counts."""
    beside: set[str] = field(default_factory=set)
    whole: bool = False
    """Whether somebody signed the model together with everything beside it."""

    def add(self, genuine: Genuine, known: KnownFiles) -> frozenset[str]:
        """Note what a genuine signature covers, and give the model's files among it."""
        found = frozenset(compare(genuine.statement, known.hashed).agree)
        files = self.until.setdefault(genuine.signer, {})
        for name in found:
            files[name] = _later(files.get(name), genuine.expires)
        if found:
            # By name: a signed file's copy under another name would say something else here.
            signed = genuine.statement.digests
            self.beside.update(
                name for name, digest in known.beside.items() if digest in signed.get(name, ())
            )
            self.beside |= genuine.statement.exempt
            self.whole = self.whole or genuine.statement.whole
        return found

    def signers(self, own: Iterable[str]) -> list[dict[str, str]]:
        """Name those who signed all of the model's files."""
        names = set(own)
        return [
            {"name": signer, "expires": min((when for when in files.values() if when), default="")}
            for signer, files in self.until.items()
            if names and files.keys() >= names
        ]


def look_at_signatures(
    files: Mapping[str, tuple[str, bytes]],
    known: KnownFiles,
    checker: SignatureChecker | None = None,
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Read all signatures beside a model, and compare them with what is known.

    Args:
        files: For each name that `is_signature`, its address and its bytes up to the limit.
        known: The SHA-256 values that they are compared with.
        checker: Verifies the signatures; None: nobody asks who made them.

    Returns:
        The entry ``signature`` of the facts, empty without such files, and the findings.
        ``covered`` in it says that each of the model's files is named by a signed one, and that
        no digest differs; ``signers`` names those who signed all of the model's files.
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
    """Give the later of two times; the empty text is later than any."""
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
    """Say what a signature names that nobody verifies."""
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
        return  # it is about something else in the same folder
    message += "; the signature itself is not verified"
    yield make_finding("signature/unverified", message, url=url, field=name)


def _verified(
    checked: Checked, name: str, known: KnownFiles, signed: _SignedFiles, url: str
) -> Iterator[Finding]:
    """Say what came of verifying a file's signatures, and note who signed what."""
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
