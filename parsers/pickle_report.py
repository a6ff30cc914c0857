"""What the walks through one file have found: globals, storages, tensors, errors."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.pickle_globals import is_allowed, mapped
from prefect_mutagen.parsers.pickle_values import Storage
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tensor import TensorInfo

__all__ = ["GlobalUse", "PickleReport"]

_GLOBAL_LIMIT: Final = 4096
_TEXT_LIMIT: Final = 256
_STORAGE_LIMIT: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class GlobalUse:
    """A name that a pickle imports, where it does so first."""

    module: str
    """Module as an unpickler looks it up; ``extension`` for a code of the extension registry."""
    name: str
    offset: int
    """Byte of the opcode in the file; inside compressed data, where that starts."""
    entry: str
    """Entry of the archive; empty for the file itself."""
    allowed: bool
    """Whether it is on the list of harmless names."""


class PickleReport:
    """Collects what walks find, in bounded memory.

    Attributes:
        globals: Each name once, where it was seen first.
        storages: Torch's storages by key.
        tensors: Tensors of all streams.
        protocol: Highest protocol that was declared.
        forbidden: Number of uses of names that are not allowed or not decided.
        calls: Number of calls that unpicklers would make.
        opcodes: Number of opcodes that were walked, of one file in all: trials share it.
        texts: Texts that may be pickles in other digits, each with its place.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        """Start empty; ``allowed`` are names that are trusted besides the list."""
        self.errors = ErrorList()
        self.globals: dict[tuple[str, str, str], GlobalUse] = {}
        self.storages: dict[str, Storage] = {}
        self.tensors: list[TensorInfo] = []
        self.protocol = 0
        self.forbidden = 0
        self.calls = 0
        self.opcodes = [0]
        self.texts: list[tuple[bytes, Source, int]] = []
        self._allowed = allowed

    def trial(self) -> "PickleReport":
        """Return an empty report, for bytes that may be no pickle; `merge` it if they are one."""
        other = PickleReport(self._allowed)
        other.opcodes = self.opcodes
        return other

    def merge(self, other: "PickleReport") -> None:
        """Add all that another report holds."""
        for key, use in other.globals.items():
            if key not in self.globals:
                self.globals[key] = use
        for error in other.errors.finish():
            self.errors.add(error)
        self.storages.update(other.storages)
        self.tensors += other.tensors
        self.protocol = max(self.protocol, other.protocol)
        self.forbidden += other.forbidden
        self.calls += other.calls
        self.texts += other.texts[: _TEXT_LIMIT - len(self.texts)]

    def keep_text(self, text: bytes, source: Source, offset: int) -> None:
        """Keep a text that may be a pickle in other digits; beyond a limit none is."""
        if len(self.texts) < _TEXT_LIMIT:
            self.texts.append((text, source, offset))

    def note(self, code: str, offset: int, field: str, expected: str, found: str) -> None:
        """Add an error."""
        self.errors.add(
            make_error(code, offset=offset, field=field, expected=expected, found=found)
        )

    def add_global(
        self, module: str, name: str, protocol: int, source: Source, offset: int
    ) -> tuple[str, str]:
        """Add a use of a global; return its module and name as an unpickler looks them up."""
        module, name = mapped(module, name, protocol)
        allowed = is_allowed(module, name, self._allowed)
        at = source.locate(offset)
        use = GlobalUse(module, name, at, source.label, allowed)
        key = (module, name, source.label)
        if not allowed:
            self.forbidden += 1
        if key in self.globals:
            return module, name
        # Those that are not allowed have room of their own.
        if len(self.globals) < (_GLOBAL_LIMIT if allowed else 2 * _GLOBAL_LIMIT):
            self.globals[key] = use
        if not allowed:
            self.note(
                "pickle/forbidden-global",
                at,
                _field_of("global", source, offset, at),
                "a name on the list of harmless ones",
                shown(f"{module}.{name}"),
            )
        return module, name

    def undecided(self, what: str, source: Source, offset: int) -> None:
        """Add a use of a global whose name the stream does not state."""
        self.forbidden += 1
        at = source.locate(offset)
        self.note(
            "pickle/undecided-global",
            at,
            _field_of("global", source, offset, at),
            "a name that the stream states",
            what,
        )

    def unreadable(self, source: Source, offset: int, expected: str, found: str) -> None:
        """Add the place at which a stream cannot be followed any further."""
        at = source.locate(offset)
        self.note("pickle/unreadable", at, _field_of("stream", source, offset, at), expected, found)

    def add_storage(self, storage: Storage) -> None:
        """Add a storage that a persistent id names."""
        if len(self.storages) < _STORAGE_LIMIT:
            self.storages[storage.key] = storage


def _field_of(what: str, source: Source, offset: int, at: int) -> str:
    """Return the field for an error: what it is, and in which entry of an archive."""
    if source.locate(offset + 1) == at:
        what = f"{what} at decompressed byte {offset}"
    return f"{what} of {shown(source.label)}" if source.label else what
