"""Judge pickles and other weights beside an artifact, which its loaders may take as well.

What a loader takes with the artifact's weights is judged with it. What none takes is told: a file
of a trainer, or weights for another framework, is everyday beside safetensors.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefect_mutagen.parsers import HeaderError
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.examine.beside import pickles_beside
from prefect_mutagen.scanner.examine.naming import listed, some_of
from prefect_mutagen.scanner.findings import Finding, from_header, make_finding
from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Find, Parts, Request
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, StoredObject

__all__ = ["LooseFile", "LooseMemory", "check_loose"]

_REMEMBERED: Final = 4096
"""Files whose contents are remembered for the other artifacts of their folders."""


@dataclass(frozen=True, slots=True)
class LooseFile:
    """What was read of one file."""

    format: str
    """Format of its content; empty if it is none that is known."""
    description: str
    """What it is, for people."""
    is_judged: bool
    """Whether its content is judged, as that of pickles is."""
    errors: tuple[HeaderError, ...]
    """What is wrong with it, worst first."""
    fault: StorageError | None = None


class LooseMemory:
    """Reads files beside artifacts, each once for all artifacts of its folder."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        """Start without any.

        Args:
            allowed: Globals that a policy trusts; see `read_loose`.
        """
        self.allowed = allowed
        self._known: OrderedDict[tuple[str, str], LooseFile] = OrderedDict()

    def load(self, items: Sequence[StoredObject]) -> Generator[Request, Any, dict[str, LooseFile]]:
        """Read files that were not read before, all at the same time.

        Returns:
            What was read, by address.
        """
        found: dict[str, LooseFile] = {}
        missing: list[StoredObject] = []
        for item in items:
            known = self._known.get((item.url, item.pin)) if item.pin else None
            if known is None:
                missing.append(item)
            else:
                found[item.url] = known
        if missing:
            read: list[LooseFile] = yield Parts(tuple(map(self._read, missing)))
            for item, one in zip(missing, read, strict=True):
                found[item.url] = one
                if one.fault is None:
                    self._known[item.url, item.pin] = one
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _read(self, item: StoredObject) -> Generator[Request, Any, LooseFile]:
        # Imported here: a scan without pickles does not need their reader.
        from prefect_mutagen.scanner.examine.pickles import format_of_loose, is_judged, read_loose

        try:
            if item.fault is not None:
                raise item.fault
            if item.size == UNKNOWN_SIZE:
                item = yield Find(item.url)
            header = yield from read_loose(item, self.allowed)
        except StorageError as problem:
            return LooseFile("", "", is_judged=False, errors=(), fault=problem)
        errors = [error for error in header.errors if error.severity == "error"]
        if not header.format:
            described = errors[0].found if errors else "content that is in no known format"
            return LooseFile("", described, is_judged=False, errors=())
        description = getattr(header, "description", "") or format_of_loose(header)
        judged = is_judged(header)
        return LooseFile(format_of_loose(header), description, judged, tuple(errors))


def check_loose(
    artifact: Artifact, taken: Mapping[str, Sequence[str]], memory: LooseMemory
) -> Generator[Request, Any, list[Finding]]:
    """Read the pickles and other weights beside an artifact, and report what they would run.

    Args:
        artifact: The artifact; files of its parts lie beside it as well.
        taken: Paths of the files that loaders take, each with the loaders' names.
        memory: Reads the files.

    Returns:
        Findings: errors about what a loader takes with the weights, warnings about what none does.
    """
    own = {item.url for item in artifact.objects}
    placed: dict[str, StoredObject] = {}
    for one in (artifact, *artifact.parts):
        for beside in (one.beside.pickles, one.beside.other_weights):
            for path, item in zip(beside.names, beside.items, strict=False):
                if item.url not in own:
                    placed.setdefault(one.folder + path, item)
    if not placed:
        return []
    read = yield from memory.load(tuple(placed.values()))
    return list(_report(placed, read, taken, artifact.url))


def _report(
    placed: Mapping[str, StoredObject],
    read: Mapping[str, LooseFile],
    taken: Mapping[str, Sequence[str]],
    url: str,
) -> Iterator[Finding]:
    named: list[str] = []
    unexpected: list[str] = []
    for path, item in placed.items():
        file, loaders = read[item.url], taken.get(path, ())
        if loaders:
            yield from _judged(path, item, file, loaders)
        elif file.fault is not None:
            message = f"{shown(path)} cannot be read: {file.fault.reason}"
            yield make_finding("pickle/beside", message, url=item.url, field=path)
        elif file.errors:
            message = f"{shown(path)}, which no loader takes with these weights, {_problems(file)}"
            yield make_finding("pickle/beside", message, url=item.url, field=path)
        if file.fault is None and not file.is_judged:
            named.append(f"{shown(path)} ({file.description})")
        elif file.is_judged and role_of(item.name) != "pickle":
            unexpected.append(path)
    if unexpected:
        yield pickles_beside(unexpected, len(unexpected), url)
    if named:
        message = f"weights that are not examined lie beside it: {some_of(named, len(named))}"
        yield make_finding("weights/named-only", message, url=url, field="folder")


def _judged(
    path: str, item: StoredObject, file: LooseFile, loaders: Sequence[str]
) -> Iterator[Finding]:
    """Yield the findings about a file that loaders take with the weights."""
    if file.fault is not None:
        message = f"{path}: {file.fault.reason}; {listed(loaders)} takes it with these weights"
        yield make_finding(file.fault.code, message, url=item.url, field=path)
    for error in file.errors:
        yield from_header(error, item.url)
    if file.fault is None and not file.is_judged:
        message = f"{shown(path)} ({file.description}) is taken by {listed(loaders)}"
        yield make_finding("sbom/unexamined", message, url=item.url, field=path)


def _problems(file: LooseFile) -> str:
    """Return what a file would do, or what is wrong with it, as a clause."""
    globals_ = [error for error in file.errors if error.code == "pickle/forbidden-global"]
    if globals_:
        names = some_of(
            (f"{error.found} (byte {error.offset})" for error in globals_), len(globals_)
        )
        return f"would import or call {names} when it is unpickled"
    if all(error.code.endswith("/unexamined") for error in file.errors):
        return f"is larger than this tool examines: {file.errors[0]}"
    return f"is not safe to load: {some_of(map(str, file.errors), len(file.errors))}"
