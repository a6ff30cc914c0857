"""Read the code of a model: what its configurations name, and what that imports.

Each module is read once, up to a limit, and known by its SHA-256; nothing of it is run. A module
that could not be examined is told as such, never passed over: whoever may have remote code run has
to know all of it.
"""

import hashlib
import posixpath
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.scanner.content.code import REFERENCE_LIMIT, CodeReference, module_files
from prefect_mutagen.scanner.content.facts import plain_text
from prefect_mutagen.scanner.content.imports import files_of, relative_imports
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.storage.address import below
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Find, Parts, Read, Request, read
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject

__all__ = ["CodeModule", "LoadedCode", "load_code"]

MODULE_LIMIT: Final = 1 << 20
"""Most bytes of a module that is examined."""
_MODULES: Final = 200
_LOOKUPS: Final = 1_000
"""Most modules that are looked up one by one."""
_TOTAL: Final = 4 << 20
_SHOWN: Final = 5
_REASONS: Final = 20
_PYTHON: Final = (".py", ".pyw")


class CodeModule(NamedTuple):
    """A file of the model that a loader runs."""

    path: str
    """Path relative to the model's root."""
    sha256: str
    """In hexadecimal; empty if it was not read."""
    reached_by: tuple[str, ...]
    """Places that name it, and modules that import it."""
    problem: str = ""
    """Why it was not read, as a clause."""


@dataclass(frozen=True, slots=True)
class LoadedCode:
    """The code that loaders run for a model."""

    modules: tuple[CodeModule, ...] = ()
    elsewhere: tuple[CodeReference, ...] = ()
    """References to code that is not among the model's files."""
    objects: tuple[StoredObject, ...] = ()
    """The files of the modules, as they were read."""
    findings: tuple[Finding, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return the facts ``code`` and ``code_elsewhere``; nothing without code."""
        modules = [
            {
                "path": _plain(module.path),
                "sha256": module.sha256,
                "reached_by": [_plain(place) for place in module.reached_by[:_REASONS]],
                **({"problem": module.problem} if module.problem else {}),
            }
            for module in self.modules
        ]
        elsewhere = [
            {name: value for name, value in one._asdict().items() if value}
            for one in self.elsewhere[:_MODULES]
        ]
        facts = {"code": modules, "code_elsewhere": elsewhere}
        return {name: value for name, value in facts.items() if value}

    def digests(self) -> dict[str, str]:
        """Return the modules' SHA-256 as in `ScanResult.digests`."""
        return {f"neighbour:{one.path}": one.sha256 for one in self.modules if one.sha256}


def load_code(
    references: Sequence[CodeReference],
    available: Mapping[str, StoredObject],
    root: str = "",
    *,
    listed: bool = True,
) -> Generator[Request, Any, LoadedCode]:
    """Read the modules that a model's files name, and those that these import.

    Args:
        references: What `code_references` found.
        available: The files of the model by path relative to its root. Of folders other than that
            of the weights, those need not be known which no loader takes by their name.
        root: Address of the root, with a trailing slash, where a module that is not among them is
            looked up; empty: nowhere.
        listed: Whether the folder of the weights was listed. If not, what a module may import from
            anywhere is looked up too.

    Returns:
        Modules, references that lead elsewhere, and findings; problems are never raised.
    """
    loading = _Loading(dict(available), root, listed)
    for reference in references[:REFERENCE_LIMIT]:
        forms = _forms(reference)
        if not loading.available.keys() & set(forms):
            yield from loading.look_up(forms)
        there = (path for path in forms if path in loading.available)
        loading.add_reference(reference._replace(path=next(there, reference.path)))
    if len(references) > REFERENCE_LIMIT:
        message = f"the configurations name code in more than {REFERENCE_LIMIT} places"
        loading.unexamined(message, references[0].file)
    while loading.pending:
        batch = loading.next_batch()
        replies = yield Parts(tuple(_read(loading.available[path]) for path in batch))
        for path, reply in zip(batch, replies, strict=True):
            yield from loading.look_up(list(loading.imported(path, reply)))
            loading.add_module(path, reply)
    return loading.result(tuple(references))


def _forms(reference: CodeReference) -> list[str]:
    """Return the files of the model that a reference may mean, that of its path first."""
    if reference.kind != "own":
        return []
    others = module_files(posixpath.dirname(reference.file), reference.module)
    return [reference.path, *(path for path in others if reference.module)]


class _Content(NamedTuple):
    item: StoredObject
    data: bytes
    problem: str = ""


def _read(item: StoredObject) -> Generator[Request, Any, _Content]:
    """Read one module; why it cannot be read is a clause, never raised."""
    if item.size > MODULE_LIMIT:
        return _Content(item, b"", f"it has {item.size} bytes, more than {MODULE_LIMIT}")
    wanted = MODULE_LIMIT + 1 if item.size == UNKNOWN_SIZE else item.size
    try:
        if item.fault is not None:
            raise item.fault
        reply = RangeReply(b"", 0, item.pin)
        if wanted:
            reply = yield from read(Read(item, 0, wanted, shared=True))
    except StorageError as problem:
        return _Content(item, b"", f"it cannot be read: {problem.reason}")
    if reply.size > MODULE_LIMIT or len(reply.data) != reply.size:
        return _Content(item, b"", f"it has {reply.size} bytes, more than {MODULE_LIMIT}")
    return _Content(item.as_read(reply), reply.data)


@dataclass(slots=True)
class _Loading:
    """What is known while modules are read."""

    available: dict[str, StoredObject]
    root: str = ""
    listed: bool = True
    pending: list[str] = field(default_factory=list)
    """Modules that are there and still to be read."""
    _reached: dict[str, dict[str, None]] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)
    """For each module, the one that a configuration names and that led to it."""
    _digests: dict[str, str] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)
    _objects: list[StoredObject] = field(default_factory=list)
    _findings: list[Finding] = field(default_factory=list)
    _bytes: int = 0
    _looked_up: set[str] = field(default_factory=set)

    def look_up(self, paths: Iterable[str]) -> Generator[Request, Any, None]:
        """Look modules up that are not known; what is there becomes available."""
        if not self.root:
            return
        for path in paths:
            if path in self.available or path in self._looked_up:
                continue
            if len(self._looked_up) >= _LOOKUPS:
                break
            self._looked_up.add(path)
            try:
                self.available[path] = yield Find(below(self.root, path))
            except StorageError as problem:
                if problem.code != "storage/not-found":
                    url = below(self.root, path)
                    self.available[path] = StoredObject(url, 0, "", fault=problem)

    def imported(self, path: str, content: "_Content") -> Iterator[str]:
        """Yield the files that a module may import and that are not known to exist."""
        if path.endswith(_PYTHON) and not content.problem:
            for found in relative_imports(content.data).found:
                needed, besides = files_of(found, path, self._first[path])
                # In a listed folder, what is needed and not there lies in another one.
                if not self.listed or (needed and self.available.keys().isdisjoint(needed)):
                    yield from (*needed, *besides)

    def add_reference(self, reference: CodeReference) -> None:
        if reference.kind != "own":
            return
        self._reach(reference.path, reference.place, reference.path)
        if reference.path not in self.available and not self._problems.get(reference.path):
            self._problems[reference.path] = "it is not among the model's files"
            message = (
                f"{named(reference.place)} names {shown(reference.text)}, and there is no "
                f"{named(reference.path)}"
            )
            self._find("code/missing", message, reference.file, reference.place)

    def next_batch(self) -> list[str]:
        """Return the modules to read next; those beyond the limits are told."""
        batch, self.pending, over = self.pending, [], []
        for number, path in enumerate(batch):
            self._bytes += max(0, min(self.available[path].size, MODULE_LIMIT))
            if len(self._digests) + number >= _MODULES or self._bytes > _TOTAL:
                over = batch[number:]
                batch = batch[:number]
                break
        if over:
            for path in over[:_MODULES]:
                self._problems[path] = "there is too much code"
            message = f"{_some(over)}: more than {_MODULES} modules, or {_TOTAL} bytes of them"
            self.unexamined(message, over[0])
        return batch

    def add_module(self, path: str, content: _Content) -> None:
        """Take the content of a module, and follow what it imports."""
        if content.problem:
            self._problems[path] = content.problem
            self.unexamined(f"{named(path)} is code that was not examined: {content.problem}", path)
            return
        self._objects.append(content.item)
        self._digests[path] = hashlib.sha256(content.data).hexdigest()
        if path.endswith(_PYTHON):
            self._follow(path, content.data)

    def _follow(self, path: str, source: bytes) -> None:
        imports, first = relative_imports(source), self._first[path]
        missing: dict[str, None] = {}
        known: set[str] = set()  # loaders and Python read one statement each in their own way
        for found in imports.found:
            needed, besides = files_of(found, path, first)
            there = [one for one in (*needed, *besides) if one in self.available and one != path]
            for one in there:
                self._reach(one, path, first)
            if there or path in needed:
                known.add(str(found))
            elif found.required:
                missing[str(found)] = None
        missing = {name: None for name in missing if name not in known}
        if missing:
            message = f"{named(path)} imports {_some(missing)}: not among the model's files"
            self._find("code/missing", message, path)
        if not imports.complete:
            why = imports.problem or "it has too many imports"
            self.unexamined(f"not all imports of {named(path)} were followed: {why}", path)
        elif imports.problem:
            message = f"imports of {named(path)} were found by their text alone: {imports.problem}"
            self._find("code/unparsed", message, path)

    def _reach(self, path: str, place: str, first: str) -> None:
        places = self._reached.get(path)
        if places is None:
            self._reached[path], self._first[path] = {place: None}, first
            if path in self.available:
                self.pending.append(path)
        elif len(places) <= _REASONS:
            places[place] = None

    def unexamined(self, message: str, path: str) -> None:
        self._find("code/unexamined", message, path)

    def _find(self, code: str, message: str, path: str, field: str = "") -> None:
        """Add a finding about a file of the model."""
        item = self.available.get(path)
        url = "" if item is None else item.url
        self._findings.append(make_finding(code, message, url=url, field=_plain(field or path)))

    def result(self, references: tuple[CodeReference, ...]) -> LoadedCode:
        modules = tuple(
            CodeModule(path, self._digests.get(path, ""), tuple(places), self._problem(path))
            for path, places in islice(self._reached.items(), 2 * _MODULES)
        )
        elsewhere = tuple(one for one in references[:REFERENCE_LIMIT] if one.kind != "own")
        if len(elsewhere) > _MODULES:
            message = f"the configurations name code elsewhere in more than {_MODULES} places"
            self.unexamined(message, elsewhere[0].file)
        there = [one for one in modules if one.path in self.available]
        if there:
            reasons = [f"{named(one.path)} ({named(one.reached_by[0])})" for one in there]
            message = f"loading it with consent to remote code runs {_some(reasons, quoted=False)}"
            self._find("code/remote", message, there[0].path)
        for code, message, one in _elsewhere(elsewhere):
            self._find(code, message, one.file, one.place)
        self._unreached()
        return LoadedCode(modules, elsewhere, tuple(self._objects), tuple(self._findings))

    def _problem(self, path: str) -> str:
        return "" if path in self._digests else self._problems.get(path, "there is too much code")

    def _unreached(self) -> None:
        others = [path for path in self.available if path.endswith(_PYTHON)]
        others = [path for path in others if path not in self._reached]
        if others:
            message = f"nothing that is known to be loaded reaches {_some(others)}"
            self._find("code/unreached", message, others[0])


def _elsewhere(references: Iterable[CodeReference]) -> Iterator[tuple[str, str, CodeReference]]:
    """Yield code, message and first reference for each thing that is named outside the model."""
    grouped: dict[tuple[str, str], list[CodeReference]] = {}
    for one in references:
        grouped.setdefault((one.kind, one.repository or one.module), []).append(one)
    for (kind, name), ones in grouped.items():
        places = _some([one.place for one in ones])
        first = ones[0]
        if kind == "other-repository":
            modules = _some(dict.fromkeys(one.module for one in ones))
            message = f"{places} has {modules} of the repository {shown(name)} run"
            yield "code/other-repository", message, first
        elif kind == "kernel":
            message = f"{places} has a kernel of the repository {shown(name)} run"
            yield "code/hub-kernel", message, first
        elif kind == "imported-name":
            yield "code/imported-name", f"{places} has the module {shown(name)} imported", first
        else:
            message = f"{places} names code outside the model's folder: {shown(first.text)}"
            yield "code/outside", message, first


def _some(names: Iterable[str], *, quoted: bool = True) -> str:
    """Join the first few of many names."""
    texts = list(names)
    few = [named(text) if quoted else text for text in texts[:_SHOWN]]
    more = len(texts) - len(few)
    return ", ".join(few) + (f" and {more} more" if more else "")


def _plain(text: str) -> str:
    return plain_text(text) or ""
