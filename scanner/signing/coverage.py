"""How far one signed statement covers an artifact: all of its files, by their names.

A statement counts by itself: digests of several are never put together, and a digest counts for the
file of its name alone. A statement about a whole folder, as OpenSSF Model Signing makes them, also
says what is not in it.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.pins import is_weak
from prefect_mutagen.scanner.signing.signatures import Signature
from prefect_mutagen.scanner.signing.unsigned import is_exempt
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = [
    "MOST_BELOW",
    "ArtifactFiles",
    "Coverage",
    "FolderCheck",
    "cover",
    "folder_digest",
    "gaps",
    "mismatch",
    "path_below",
]

MOST_BELOW: Final = 50_000
"""Files below a signed folder that are looked at."""
_TOLD: Final = 20
"""Files of each kind that have a finding of their own."""


@dataclass(frozen=True, slots=True)
class ArtifactFiles:
    """The files of an artifact, and what is known of their bytes, by address."""

    own: tuple[StoredObject, ...]
    """Its weights."""
    beside: tuple[StoredObject, ...] = ()
    """Files that describe it, such as config.json."""
    taken: Mapping[str, tuple[StoredObject, ...]] = field(default_factory=dict)
    """What each loader takes besides the weights."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Digests from any source."""
    proven: Mapping[str, str] = field(default_factory=dict)
    """Digests computed from the bytes, here or by the storage. A checksum file beside the model
    proves nothing: whoever can replace the model can replace that file too."""

    def named(self, folder: str) -> dict[str, str]:
        """Return the digests from any source, by path below a folder; empty where unknown."""
        return dict(_named((*self.beside, *self.own), folder, self.sha256))


@dataclass(frozen=True, slots=True)
class FolderCheck:
    """The files that a statement names, as they lie in its folder, and those that it does not."""

    agree: frozenset[str] = frozenset()
    differ: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unhashed: tuple[str, ...] = ()
    """Named files whose digests are not known."""
    could_run: tuple[str, ...] = ()
    """Files that it does not name, and that could run."""
    problem: str = ""
    """Why not all of it was examined."""
    below: str = ""
    """What `folder_digest` returned for a folder that was signed as a whole."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one statement says about an artifact."""

    agree: frozenset[str] = frozenset()
    """Weights that it names with the digest that they have, by path below its folder."""
    names_all: bool = False
    """Whether it names all of the artifact's weights, and none has another digest."""
    unhashed: tuple[str, ...] = ()
    """Files that it names and whose digests are not known."""
    unsigned: tuple[str, ...] = ()
    """Files that describe the model, in a folder that was signed as a whole, and are not named."""
    not_taken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Files that a loader takes and that it does not name, by loader."""
    check: FolderCheck = FolderCheck()

    @property
    def complete(self) -> bool:
        """Whether it covers everything, but for what single loaders take besides."""
        check = self.check
        wrong = check.differ or check.missing or check.could_run or check.problem
        return self.names_all and not (self.unhashed or self.unsigned or wrong)

    @property
    def rank(self) -> tuple[bool, bool, bool, int]:
        """Order of statements: the one that covers most is the largest."""
        return self.complete and not self.not_taken, self.complete, self.names_all, len(self.agree)


def folder_digest(items: Iterable[StoredObject], folder: str) -> str:
    """Return a digest over the paths and pins of all files below a signed folder.

    An artifact's pin covers what loaders take; a signature speaks of everything in its folder.

    Args:
        items: The files, in any order.
        folder: Address of the folder, with a trailing slash.

    Returns:
        The digest in hexadecimal; empty if a file has no pin, so that a change may not show.
    """
    lines: list[str] = []
    for item in items:
        pin = item.pin or (item.fault.code if item.fault is not None else "")
        if not pin or is_weak(pin):
            return ""
        lines.append(f"{path_below(item, folder)}\0{pin}")
    text = "\n".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def path_below(item: StoredObject, folder: str) -> str | None:
    """Return the path of a file below a folder; None if it lies elsewhere.

    Args:
        item: The file.
        folder: Address of the folder, with a trailing slash.
    """
    url = item.plain_url
    if not url.startswith(folder):
        return None
    path = url[len(folder) :]
    # Only web addresses are written in another way than names are.
    return unquote(path) if folder.startswith(("http://", "https://")) else path


def cover(
    statement: Signature,
    folder: str,
    files: ArtifactFiles,
    check: FolderCheck | None = None,
    *,
    proven: bool = True,
) -> Coverage:
    """Hold an artifact's files against one statement.

    Args:
        statement: The statement.
        folder: Address of the folder that its names are relative to, with a trailing slash.
        files: The artifact's files.
        check: What became of the files that it names; None: only the weights are looked at.
        proven: Whether only digests that were computed count; else an unknown one is accepted.
    """
    own = dict(_named(files.own, folder, files.proven if proven else files.sha256))
    outside = len(files.own) - len(own)
    agree, unhashed, other = set[str](), list[str](), outside
    for name, digest in own.items():
        stated = statement.digests.get(name)
        if stated is None:
            other += 1
        elif not stated or not digest:
            unhashed.append(name)
        elif digest.lower() in stated:
            agree.add(name)
        else:
            other += 1
    names_all = bool(own) and not other
    weights = tuple(unhashed) if proven else ()
    if check is None:
        added = (
            tuple(_unsigned(statement, folder, files, statement.digests))
            if agree and proven
            else ()
        )
        return Coverage(frozenset(agree), names_all, weights, added)
    signed = check.agree | own.keys()
    doubtful = {*check.differ, *check.unhashed}
    # Where a signer is asked for, one with other bytes than those signed was not signed either.
    known = signed | ({*check.unhashed} if proven else doubtful)
    unsigned = tuple(_unsigned(statement, folder, files, known))
    not_taken: dict[str, tuple[str, ...]] = {}
    for loader, items in files.taken.items():
        paths = {path_below(item, folder) or item.name for item in items}
        if lacking := paths - signed - doubtful - set(unsigned):
            not_taken[loader] = tuple(sorted(lacking))
    others = check.unhashed if proven else ()
    return Coverage(frozenset(agree), names_all, (*weights, *others), unsigned, not_taken, check)


def gaps(coverage: Coverage, statement: Signature, name: str, url: str) -> Iterator[Finding]:
    """Report what keeps a statement from covering an artifact.

    Args:
        coverage: What it covers.
        statement: The statement.
        name: Name of its file.
        url: Address of its file.
    """
    check = coverage.check
    for target in check.differ[:_TOLD]:
        yield mismatch(statement, name, target, url)
    more = "{} more files"
    for target in _few(check.missing, more):
        message = f"{shown(name)} covers {target}, which is not there"
        yield make_finding("signature/missing-file", message, url=url, field=name)
    together = "among the files that were signed together with the model"
    for target in _few(coverage.unsigned, more):
        message = f"{target} is not {together}"
        yield make_finding("signature/unsigned-file", message, url=url, field=name)
    for target in _few(check.could_run, more):
        message = f"{target} could run, and is not {together}"
        yield make_finding("signature/unsigned-file", message, url=url, field=name)
    for loader, paths in coverage.not_taken.items():
        for target in _few(paths, more):
            message = f"{loader} takes {target}, which is not {together}"
            field_ = f"loads.{loader}"
            yield make_finding("signature/unsigned-file", message, url=url, field=field_)
    if check.problem:
        message = f"not all that {shown(name)} covers was examined: {check.problem}"
        yield make_finding("signature/unexamined", message, url=url, field=name)


def mismatch(statement: Signature, name: str, target: str, url: str) -> Finding:
    """Return the finding about a file with another digest than the one that was signed."""
    stated = ", ".join(sorted(statement.digests[target])[:4])
    message = f"{shown(name)} names another SHA-256 for {shown(target)}: {stated}"
    return make_finding("signature/mismatch", message, url=url, field=target)


def _few(names: tuple[str, ...], more: str) -> Iterator[str]:
    """Yield the first names, quoted, and how many more there are."""
    yield from map(shown, names[:_TOLD])
    if len(names) > _TOLD:
        yield more.format(len(names) - _TOLD)


def _unsigned(
    statement: Signature, folder: str, files: ArtifactFiles, known: Container[str]
) -> Iterator[str]:
    """Yield the describing files that were not signed with the folder as a whole."""
    if not statement.whole:
        return
    for item in files.beside:
        path = path_below(item, folder)
        if path is None:
            yield item.name
        elif path not in known and not is_exempt(path, statement.exempt):
            yield path


def _named(
    items: Iterable[StoredObject], folder: str, digests: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for item in items:
        path = path_below(item, folder)
        if path is not None:
            yield path, digests.get(item.url, "")
