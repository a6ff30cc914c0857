"""Compare signatures and attestations beside a model with its files, and record who signed them.

Where a policy names signers, the facts record which of them signed all of the files. The record is
keyed by the signer's name, so another policy can be judged by it without verifying again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.signing.check import Checked, Genuine
from prefect_mutagen.scanner.signing.coverage import (
    ArtifactFiles,
    Coverage,
    FolderCheck,
    cover,
    gaps,
    mismatch,
    path_below,
)
from prefect_mutagen.scanner.signing.signatures import Signature
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "LISTED",
    "Comparison",
    "SignatureFile",
    "compare",
    "look_at_signatures",
    "statements_to_check",
]

LISTED: Final = 100
"""Most signature files, and most names of each kind, that are in the facts."""

Checks = Mapping[tuple[str, int], FolderCheck]
"""What became of the files that a statement names, by the address of its file and its number."""


@dataclass(frozen=True, slots=True)
class SignatureFile:
    """A signature file beside a model, as it was read and verified."""

    item: StoredObject
    signature: Signature
    """All that its statements name together."""
    statements: tuple[Signature, ...] = ()
    """Each of them by itself."""
    checked: Checked | None = None
    """Who signed them; None: no signers are known, so nothing was verified."""
    fault: str = ""
    """Why storage does not hand it out, as a clause; then there is nothing else."""

    @property
    def folder(self) -> str:
        """Address of the folder that its names are relative to, with a trailing slash."""
        return self.item.folder

    @property
    def vouching(self) -> tuple[Genuine, ...]:
        """The genuine statements that vouch for files."""
        return tuple(one for one in self.checked.genuine if one.vouches) if self.checked else ()


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
        The files the signature names. A digest counts for the file of its name alone.
    """
    agree, differ, unknown = [], [], []
    for name, known in sha256.items():
        named = signature.digests.get(name)
        if named is None:
            continue
        if not named or not known:
            unknown.append(name)
        elif known.lower() in named:
            agree.append(name)
        else:
            differ.append(name)
    return Comparison(tuple(agree), tuple(differ), tuple(unknown))


def statements_to_check(
    files: Iterable[SignatureFile], artifact: ArtifactFiles, *, required: bool
) -> Iterator[tuple[SignatureFile, int]]:
    """Yield the statements whose files have to be looked at: those that name all of the weights.

    Args:
        files: The signature files.
        artifact: The artifact's files.
        required: Whether statements count that nobody verified.
    """
    for file in files:
        numbers = {one.number for one in file.vouching}
        if required:
            numbers |= set(_signed(file))
        for number in sorted(numbers):
            statement = file.statements[number]
            found = cover(statement, file.folder, artifact, proven=not required)
            if found.names_all and not found.unhashed:
                yield file, number


def look_at_signatures(
    files: Sequence[SignatureFile],
    artifact: ArtifactFiles,
    checks: Checks | None = None,
    *,
    required: bool = False,
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Hold all signatures beside a model against its files.

    Args:
        files: The signature files.
        artifact: The artifact's files.
        checks: What became of the files that `statements_to_check` names.
        required: Whether statements count that nobody verified.

    Returns:
        The entry ``signature`` of the facts, empty without such files, and the findings. In the
        entry, ``covered`` is true when one signed statement names every file of the artifact and
        no digest differs; ``signers`` lists the signers that signed all of them in one statement;
        ``folders`` has what lay in each folder that was looked at as a whole, as a digest.
    """
    if not files:
        return {}, ()
    facts: list[dict[str, Any]] = []
    findings: list[Finding] = []
    record = _Record(checks or {})
    covered = differing = False
    for file in files:
        found = compare(file.signature, artifact.named(file.folder))
        differing = differing or bool(found.differ)
        covered = record.add_signed(file, artifact, required=required) or covered
        facts.append(_facts(file.signature, found))
        findings += _differences(file, found)
        if file.checked is not None and not file.signature.problem:
            findings += _verified(file, file.checked, artifact, record)
        elif not found.differ:
            findings += _unverified(file, found, artifact)
    findings += record.gaps()
    entry: dict[str, Any] = {"covered": covered and not differing, "files": facts[:LISTED]}
    if folders := {
        file.folder: check.below
        for file in files
        for (url, number), check in (checks or {}).items()
        if url == file.item.url and file.statements[number].whole
    }:
        entry["folders"] = folders
    if any(file.checked is not None for file in files):
        entry["signers"] = record.signers()
    return entry, tuple(dict.fromkeys(findings))


@dataclass(slots=True)
class _Record:
    """How far the statements that count cover an artifact."""

    checks: Checks
    signed: dict[str, list[tuple[Coverage, str]]] = field(default_factory=dict)
    """Coverage and expiry of each genuine statement, by signer."""
    counted: list[tuple[Coverage, Signature, StoredObject]] = field(default_factory=list)
    """Each statement that counts, with its file."""

    def add_genuine(
        self, file: SignatureFile, genuine: Genuine, artifact: ArtifactFiles
    ) -> Coverage:
        statement = file.statements[genuine.number]
        check = self.checks.get((file.item.url, genuine.number))
        coverage = cover(statement, file.folder, artifact, check)
        self.signed.setdefault(genuine.signer, []).append((coverage, genuine.expires))
        self.counted.append((coverage, statement, file.item))
        return coverage

    def add_signed(self, file: SignatureFile, artifact: ArtifactFiles, *, required: bool) -> bool:
        """Whether one signed statement covers the artifact, as far as digests are known."""
        covers = False
        for number in _signed(file):
            statement = file.statements[number]
            check = self.checks.get((file.item.url, number)) if required else None
            coverage = cover(statement, file.folder, artifact, check, proven=False)
            # What single loaders take besides matters to those who ask for a signer.
            coverage = replace(coverage, not_taken={})
            if required and statement.whole:
                self.counted.append((coverage, statement, file.item))
            covers = covers or coverage.complete
        return covers

    def gaps(self) -> Iterator[Finding]:
        """Report what the statement that covers most does not cover, and broken folders."""
        if not self.counted:
            return
        best = max(self.counted, key=lambda one: one[0].rank)
        folders = {item.folder for found, one, item in self.counted if one.whole and found.complete}
        for coverage, statement, item in self.counted:
            if coverage is best[0]:
                yield from gaps(coverage, statement, item.name, item.url)
            elif statement.whole and not any(item.folder.startswith(url) for url in folders):
                # It was signed as a whole, and is not what was signed, whoever signed a part of it.
                of_folder = replace(coverage, unsigned=(), not_taken={})
                yield from gaps(of_folder, statement, item.name, item.url)

    def signers(self) -> list[dict[str, Any]]:
        """Return the signers that signed everything in one statement.

        Each with the time until which that counts, and the loaders that take more than was signed.
        """
        found: list[dict[str, Any]] = []
        for signer, statements in self.signed.items():
            whole = [entry for entry in statements if entry[0].complete]
            whole.sort(key=lambda one: one[1] or "~", reverse=True)  # the latest; empty: never
            whole.sort(key=lambda one: len(one[0].not_taken))
            for coverage, expires in whole[:1]:
                entry: dict[str, Any] = {"name": signer, "expires": expires}
                if coverage.not_taken:
                    entry["unsigned"] = sorted(coverage.not_taken)
                found.append(entry)
        return found


def _signed(file: SignatureFile) -> Iterator[int]:
    """Yield the numbers of the statements that carry a signature, valid or not."""
    for number, statement in enumerate(file.statements):
        if statement.signed and not statement.problem:
            yield number


def _facts(signature: Signature, found: Comparison) -> dict[str, Any]:
    entry = {
        "name": signature.name,
        "kind": signature.kind,
        "signed": signature.signed,
        "predicates": list(signature.predicates),
        "problem": signature.problem,
        "agree": list(found.agree[:LISTED]),
        "differ": list(found.differ[:LISTED]),
        "unknown": list(found.unknown[:LISTED]),
    }
    return {key: value for key, value in entry.items() if value not in ("", [])}


def _differences(file: SignatureFile, found: Comparison) -> Iterator[Finding]:
    signature, url = file.signature, file.item.url
    name = signature.name
    if signature.problem:
        message = f"{shown(name)} cannot be read: {signature.problem}"
        yield make_finding("signature/unreadable", message, url=url, field=name)
    for target in found.differ:
        yield mismatch(signature, name, target, url)


def _unverified(
    file: SignatureFile, found: Comparison, artifact: ArtifactFiles
) -> Iterator[Finding]:
    """Report which of the model's files an unverified signature names."""
    name = file.signature.name
    if file.signature.problem:
        return
    own = (path_below(item, file.folder) for item in artifact.own)
    named = found.names.intersection(path for path in own if path is not None)
    if named:
        known = "with the digests they have" if not found.unknown else "with digests not known here"
        message = f"{shown(name)} names {len(named)} of the model's files {known}"
    elif file.signature.kind == "oms":
        message = f"{shown(name)} does not name the model"
    else:
        return  # it signs something else in the same folder
    message += "; the signature itself is not verified"
    yield make_finding("signature/unverified", message, url=file.item.url, field=name)


def _verified(
    file: SignatureFile, checked: Checked, artifact: ArtifactFiles, record: _Record
) -> Iterator[Finding]:
    """Report the result of verifying a file's signatures and record who signed what."""
    name, url = file.signature.name, file.item.url
    if checked.problem:
        message = f"{shown(name)} does not verify: {checked.problem}"
        yield make_finding("signature/invalid", message, url=url, field=name)
    if checked.strangers:
        held = "a statement" if checked.strangers == 1 else f"{checked.strangers} statements"
        message = f"{shown(name)} holds {held} that none of the allowed signers made"
        if checked.detail:
            message += f": {checked.detail}"
        yield make_finding("signature/unknown-signer", message, url=url, field=name)
    for genuine in checked.genuine:
        about = f"{shown(name)} is a genuine signature of {genuine.signer!a}"
        if not genuine.vouches:
            about = f"{shown(name)} is a genuine attestation of {genuine.signer!a}"
            message = f"{about}, which says something about the model but does not sign it"
            yield make_finding("signature/unverified", message, url=url, field=name)
            continue
        coverage = record.add_genuine(file, genuine, artifact)
        if coverage.agree:
            message = f"{about} over {len(coverage.agree)} of the model's files"
            yield make_finding("signature/verified", message, url=url, field=name)
        if coverage.unhashed:
            message = f"{about}, but the bytes of {shown(coverage.unhashed[0])} were not hashed"
            yield make_finding("signature/unbound", message, url=url, field=name)
