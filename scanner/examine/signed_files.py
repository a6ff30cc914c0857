"""Read the signatures beside models, and hash the files that they name: each once per scan.

What a signature names is only looked at where a policy asks for signatures: a plain scan reads the
signature files and compares the digests that it knows anyway.
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from threading import RLock
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

from prefect_mutagen.scanner.examine.fetch import read_beside
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.roles import OMS_NAME, signed_name
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.signing.check import Checked, SignatureChecker
from prefect_mutagen.scanner.signing.coverage import (
    MOST_BELOW,
    ArtifactFiles,
    FolderCheck,
    folder_digest,
    path_below,
)
from prefect_mutagen.scanner.signing.digests import (
    SignatureFile,
    look_at_signatures,
    statements_to_check,
)
from prefect_mutagen.scanner.signing.signatures import (
    SIGNATURE_LIMIT,
    Signature,
    read_signature,
    read_statements,
)
from prefect_mutagen.scanner.signing.unsigned import could_run, is_exempt
from prefect_mutagen.scanner.storage.address import below
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.hashing import (
    HashLevel,
    HashProgress,
    compute_sha256,
    hash_object,
)
from prefect_mutagen.scanner.storage.requests import Find, ListBelow, Once, Parts, Read, Request
from prefect_mutagen.scanner.storage.requests import read as read_range
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, StoredObject

__all__ = ["ReadSignatures", "SignedFiles"]

_MOST_FILES: Final = 64
_MOST_BYTES: Final = 16 << 20
"""Signature files of one artifact that are read, and their bytes."""
_MOST_LOOKUPS: Final = 4096
"""Signed files that are looked up by name where storage has no listings."""
_COMPUTED: Final = 64 << 20
"""Largest file that is read to its end, whatever the hash level."""
_GIT: Final = (".git", ".github", ".gitattributes", ".gitignore")
"""Paths that the reference verifier never looks at."""
_KEPT_DIGESTS: Final = 100_000
_KEPT_CHECKS: Final = 1000

_T = TypeVar("_T")
_Key = tuple[str, str]


class ReadSignatures(NamedTuple):
    """The signature files of one artifact."""

    objects: tuple[StoredObject, ...] = ()
    """All of them, those that were read as they were read."""
    files: tuple[SignatureFile, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class SignedFiles:
    """Signature files that were read, and digests of what they name, for the artifacts of a scan.

    It is safe in threads and on one event loop: work in progress is waited for.
    """

    policy: Policy
    hash_level: HashLevel
    on_hashed: HashProgress
    _checker: SignatureChecker | None = field(init=False)
    _files: dict[_Key, SignatureFile] = field(default_factory=dict)
    _file_bytes: int = 0
    _checks: dict[Hashable, FolderCheck] = field(default_factory=dict)
    _digests: dict[_Key, str] = field(default_factory=dict)
    _locks: dict[Hashable, RLock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Load the policy's signers.

        Raises:
            ValueError: Their signatures cannot be verified here; the message says why.
        """
        signers = self.policy.allowed_signers
        self._checker = SignatureChecker(signers) if signers else None

    @property
    def required(self) -> bool:
        """Whether the policy asks for signatures of any kind."""
        return self._checker is not None or self.policy.require_signature

    def load(self, items: Iterable[StoredObject]) -> Generator[Request, Any, ReadSignatures]:
        """Read the signature files of an artifact.

        Args:
            items: The files, as listed. Empty ones say nothing and are ignored.

        Returns:
            The files, and findings about those that cannot be read or are beyond the limit.
        """
        objects: dict[str, StoredObject] = {item.url: item for item in items}
        files: list[SignatureFile] = []
        size = number = 0
        listed = [item for item in objects.values() if item.size or item.fault is not None]
        findings: list[Finding] = []
        for number, item in enumerate(sorted(listed, key=_importance)):
            size += min(max(item.size, 0), SIGNATURE_LIMIT)
            if number >= _MOST_FILES or size > _MOST_BYTES:
                left = len(listed) - number
                message = (
                    f"{left} more signatures lie beside the model: of one model {_MOST_FILES} "
                    f"files and {_MOST_BYTES >> 20} MiB are read"
                )
                finding = make_finding("signature/unexamined", message, url=item.url)
                findings.append(finding)
                break
            file = yield from self._once(("signature", item.url, item.pin), self._file, item)
            objects[item.url] = file.item
            if file.fault:
                message = f"{item.name} cannot be read: {file.fault}"
                unread = make_finding(
                    "sbom/neighbour-unread", message, url=item.url, field=item.name
                )
                findings.append(unread)
            else:
                files.append(file)
        files.sort(key=attrgetter("item.url"))
        return ReadSignatures(tuple(objects.values()), tuple(files), tuple(findings))

    def _file(self, item: StoredObject) -> Generator[Request, Any, SignatureFile]:
        key = (item.url, item.pin)
        known = self._files.get(key)
        if known is not None and item.pin:
            return known
        name = item.name
        try:
            item, raw = yield from read_beside(item, SIGNATURE_LIMIT)
        except StorageError as problem:
            return SignatureFile(item, Signature(name), fault=problem.reason)
        signature = read_signature(name, raw)
        statements: tuple[Signature, ...] = ()
        checked = None if self._checker is None else Checked()
        if not signature.problem:
            is_one = not name.endswith(".jsonl")
            statements = (signature,) if is_one else read_statements(name, raw)
            checked = None if self._checker is None else self._checker.check(name, raw)
        self._file_bytes += len(raw)
        if self._file_bytes > _MOST_BYTES:
            self._files.clear()
            self._file_bytes = len(raw)
        self._files[key] = SignatureFile(item, signature, statements, checked)
        return self._files[key]

    def compute(self, item: StoredObject, on_hashed: HashProgress) -> Generator[Request, Any, str]:
        """Read and hash a file, unless another artifact has done so; see `compute_sha256`."""
        key = ("sha256", item.url, item.pin)
        digest: str = yield from self._once(key, self._compute, item, on_hashed)
        return digest

    def _compute(self, item: StoredObject, on_hashed: HashProgress) -> Generator[Request, Any, str]:
        key = (item.url, item.pin)
        known = self._digests.get(key)
        if known is not None and item.pin:
            return known
        digest = yield from compute_sha256(item, on_hashed)
        self._keep(key, digest)
        return digest

    def look(
        self, files: Sequence[SignatureFile], artifact: ArtifactFiles, *, listed: bool
    ) -> Generator[Request, Any, tuple[dict[str, Any], tuple[Finding, ...]]]:
        """Hold the signatures beside an artifact against its files; see `look_at_signatures`.

        Args:
            files: The signature files.
            artifact: The artifact's files.
            listed: Whether its folder could be listed.
        """
        required = self.policy.require_signature
        checks: dict[tuple[str, int], FolderCheck] = {}
        if self.required:
            for item in (*artifact.own, *artifact.beside):
                if item.pin and artifact.proven.get(item.url):
                    self._keep((item.url, item.pin), artifact.proven[item.url])
            for file, number in statements_to_check(files, artifact, required=required):
                check = yield from self._check(file, number, artifact, listed=listed)
                checks[file.item.url, number] = check
        return look_at_signatures(files, artifact, checks, required=required)

    def _check(
        self, file: SignatureFile, number: int, artifact: ArtifactFiles, *, listed: bool
    ) -> Generator[Request, Any, FolderCheck]:
        """Compare the files that a statement names with what lies in its folder."""
        statement = file.statements[number]
        if statement.whole:
            key = ("folder", file.item.url, file.item.pin, number, listed)
            return (yield from self._once(key, self._check_folder, file, statement, key, listed))
        items = {
            path: item
            for item in (*artifact.beside, *artifact.own, *_unique(artifact.taken))
            if (path := path_below(item, file.folder)) in statement.digests and path is not None
        }
        return (yield from self._compare(statement, items))

    def _check_folder(
        self,
        file: SignatureFile,
        statement: Signature,
        key: Hashable,
        listed: bool,  # noqa: FBT001 - passed on by position
    ) -> Generator[Request, Any, FolderCheck]:
        """Check all that lies below the folder of a statement about a whole folder."""
        known = self._checks.get(key)
        if known is not None and file.item.pin:
            return known
        found, is_listing = yield from _list_or_look_up(file.folder, statement, listed=listed)
        if isinstance(found, str):
            return FolderCheck(problem=found)
        present = dict(_paths(found, file.folder))
        check = yield from self._compare(
            statement, {path: item for path, item in present.items() if path in statement.digests}
        )
        ignored = (*statement.exempt, *_GIT)
        others = [
            (path, item)
            for path, item in present.items()
            if path not in statement.digests and not is_exempt(path, ignored)
        ]
        unseen = [path for path, item in others if _may_hold_files(item)]
        check = FolderCheck(
            check.agree,
            check.differ,
            (*check.missing, *sorted(statement.digests.keys() - present.keys())),
            check.unhashed,
            tuple(sorted(path for path, _ in others if could_run(path))),
            check.problem or (f"{unseen[0]!a} cannot be read" if unseen else ""),
            folder_digest(found, file.folder) if is_listing else "",
        )
        if len(self._checks) >= _KEPT_CHECKS:
            self._checks.clear()
        self._checks[key] = check
        return check

    def _compare(
        self, statement: Signature, items: Mapping[str, StoredObject]
    ) -> Generator[Request, Any, FolderCheck]:
        """Hash the files that a statement names, and compare them."""
        paths = sorted(items)
        outcomes: list[str | StorageError] = []
        if paths:
            outcomes = yield Parts(tuple(self._digest_of(items[path]) for path in paths))
        agree, differ, missing, unhashed = set[str](), list[str](), list[str](), list[str]()
        problem = ""
        for path, outcome in zip(paths, outcomes, strict=True):
            stated = statement.digests[path]
            if isinstance(outcome, StorageError):
                if outcome.code == "storage/not-found":
                    missing.append(path)
                else:
                    problem = problem or f"{path!a} cannot be read: {outcome.reason}"
            elif not outcome or not stated:
                unhashed.append(path)
            elif outcome in stated:
                agree.add(path)
            else:
                differ.append(path)
        return FolderCheck(
            frozenset(agree), tuple(differ), tuple(missing), tuple(unhashed), problem=problem
        )

    def _digest_of(self, item: StoredObject) -> Generator[Request, Any, str | StorageError]:
        """Return a file's SHA-256; empty if it would cost too much at this hash level."""
        known = self._digests.get((item.url, item.pin)) if item.pin else None
        if known is not None:
            return known
        try:
            if item.fault is not None:
                raise item.fault
            if item.size == UNKNOWN_SIZE:
                reply = yield from read_range(Read(item, 0, 1))
                item = item.as_read(reply)
            if self.hash_level == "full" or item.size <= _COMPUTED:
                return (yield from self.compute(item, self.on_hashed))
        except StorageError as problem:
            return problem
        level: HashLevel = "lookup" if self.hash_level == "lookup" else "stored"
        hashed = yield from hash_object(item, level, {}, self.on_hashed)
        return hashed.proven

    def _keep(self, key: _Key, digest: str) -> None:
        if len(self._digests) >= _KEPT_DIGESTS:
            self._digests.clear()
        self._digests[key] = digest

    def _once(
        self, key: Hashable, work: Callable[..., Generator[Request, Any, _T]], *args: Any
    ) -> Generator[Request, Any, _T]:
        """Do work unless it is being done, and return its result."""
        lock = self._locks.setdefault(key, RLock())
        try:
            result: _T = yield Once(key, partial(work, *args), lock)
        finally:
            self._locks.pop(key, None)
        return result


def _importance(item: StoredObject) -> tuple[bool, bool, str, str]:
    """Order signature files: those of the model itself, those of whole folders, then others."""
    return not signed_name(item.name), item.name != OMS_NAME, item.name, item.url


def _unique(taken: Mapping[str, tuple[StoredObject, ...]]) -> Iterator[StoredObject]:
    yield from dict.fromkeys(item for items in taken.values() for item in items)


def _paths(items: Iterable[StoredObject], folder: str) -> Iterator[tuple[str, StoredObject]]:
    for item in items:
        path = path_below(item, folder)
        if path:
            yield path, item


def _may_hold_files(item: StoredObject) -> bool:
    """Whether what cannot be accessed may hold files: a folder that cannot be listed."""
    return item.fault is not None and item.fault.code not in (
        "storage/not-found",
        "storage/not-a-file",
    )


def _list_or_look_up(
    folder: str, statement: Signature, *, listed: bool
) -> Generator[Request, Any, tuple[tuple[StoredObject, ...] | str, bool]]:
    """Return the files of a signed folder, and whether they are all; a text says why not."""
    found: tuple[StoredObject, ...] | None = None
    try:
        found = yield ListBelow(folder, MOST_BELOW + 1)
    except StorageError as problem:
        # Permission to read does not imply permission to list.
        if listed or problem.code != "storage/denied":
            return f"its folder cannot be listed: {problem.reason}", False
    if found is None:
        return (yield from _look_up(folder, statement)), False
    if len(found) > MOST_BELOW:
        return f"more than {MOST_BELOW:,} files lie in its folder", False
    return found, True


def _look_up(
    folder: str, statement: Signature
) -> Generator[Request, Any, tuple[StoredObject, ...] | str]:
    """Look signed files up by name where storage has no listings; a text says why not."""
    if len(statement.digests) > _MOST_LOOKUPS:
        return f"more than {_MOST_LOOKUPS:,} files would have to be looked up by name"
    found: list[StoredObject] = []
    for path in sorted(statement.digests):
        if path.startswith("/") or ".." in path.split("/"):
            continue  # no file of the folder
        url = below(folder, quote(path) if folder.startswith(("http://", "https://")) else path)
        try:
            found.append((yield Find(url)))
        except StorageError as problem:
            if problem.code != "storage/not-found":
                found.append(StoredObject(url, 0, "", fault=problem))
    return tuple(found)
