"""What a pickle's stack holds while it is walked: stand-ins for the objects it would make.

Nothing is imported and nothing called. A string keeps its text while it could be a name; a
container keeps what a tensor's name can be made of; all else is `OPAQUE`. `Memo` and `Stack` are
bounded, because one byte of a stream can add an entry.
"""

from typing import Any, Final

from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.rules import make_error

__all__ = [
    "ENTRY_LIMIT",
    "NONE",
    "OPAQUE",
    "Global",
    "Memo",
    "Node",
    "Stack",
    "Storage",
    "Tensor",
    "too_many",
]

ENTRY_LIMIT: Final = 1 << 20
"""Largest number of stack or memo entries that are followed."""
_KEPT_ITEMS: Final = 64
"""Items of a container that are kept whatever they are; beyond, only those that lead to tensors."""


class _Opaque:
    """An object of which nothing has to be known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OPAQUE"


OPAQUE: Final = _Opaque()
NONE: Final = _Opaque()
"""A pickled None; that there is nothing, and not what nobody knows."""


class Global:
    """A name that the stream has imported: a class, a function, or anything else of a module."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        """Keep the names that an unpickler would look up, after the mapping of Python 2's."""
        self.module, self.name = module, name

    @property
    def path(self) -> tuple[str, str]:
        """Module and name."""
        return self.module, self.name


class Node:
    """A dict, a list, or an object that a call of a global would make."""

    __slots__ = ("args", "count", "items", "maker", "state")

    def __init__(self, maker: Any = None, args: Any = ()) -> None:
        """Start without items."""
        self.maker = maker
        """The `Global` that makes the object; None for a dict or list of the stream's own."""
        self.args = args
        self.count = 0
        self.items: list[tuple[Any, Any]] = []
        """Keys and values; the key of a list's item is its number."""
        self.state: Any = None

    def made_by(self, *paths: tuple[str, str]) -> bool:
        """Whether one of these globals makes the object."""
        return isinstance(self.maker, Global) and self.maker.path in paths

    def add(self, key: Any, value: Any) -> None:
        """Keep an item, if anything may be asked about it."""
        self.count += 1
        if len(self.items) < _KEPT_ITEMS or isinstance(value, (Node, Tensor)):
            self.items.append((key, value))


class Storage:
    """Raw data outside of the stream, as torch's persistent ids name it."""

    __slots__ = ("count", "dtype", "key", "width")

    def __init__(self, key: str, dtype: str, width: int, count: int) -> None:
        """Keep the key, the dtype, the bytes of an element, and the number of elements."""
        self.key, self.dtype, self.width, self.count = key, dtype, width, count


class Tensor:
    """A tensor or array that the stream states."""

    __slots__ = ("dtype", "key", "offset", "shape", "width")

    def __init__(
        self, dtype: str, width: int, shape: tuple[int, ...], key: str = "", offset: int = 0
    ) -> None:
        """Keep dtype, bytes of an element, shape, and where in which storage the data is."""
        self.dtype, self.width, self.shape = dtype, width, shape
        self.key, self.offset = key, offset


def too_many(what: str, offset: int) -> HeaderError:
    """Return the error for a stream with more entries than are followed."""
    return make_error(
        "pickle/unexamined",
        offset=offset,
        field=what,
        expected=f"at most {ENTRY_LIMIT} entries",
        found="more",
    )


class Memo:
    """The memo: a list where it is filled in order, as picklers do, and a dict for the rest."""

    __slots__ = ("_dense", "_sparse")

    def __init__(self) -> None:
        """Start empty."""
        self._dense: list[Any] = []
        self._sparse: dict[int, Any] = {}

    def __len__(self) -> int:
        """Return the number of entries; MEMOIZE stores under it."""
        return len(self._dense) + len(self._sparse)

    def put(self, key: int, value: Any) -> bool:
        """Store a value; return whether there was room."""
        count = len(self._dense)
        if key < count:
            self._dense[key] = value
        elif key == count and not self._sparse:
            if count >= ENTRY_LIMIT:
                return False
            self._dense.append(value)
        else:
            if len(self) >= ENTRY_LIMIT and key not in self._sparse:
                return False
            self._sparse[key] = value
        return True

    def append(self, value: Any) -> bool:
        """Store a value under the number of entries; return whether there was room."""
        if self._sparse or len(self._dense) >= ENTRY_LIMIT:
            return self.put(len(self), value)
        self._dense.append(value)
        return True

    def get(self, key: int) -> Any:
        """Return a value; None if there is none (a pickled None is `OPAQUE`)."""
        if 0 <= key < len(self._dense):
            return self._dense[key]
        return self._sparse.get(key)

    def copy(self) -> "Memo":
        """Return a copy that holds the same values."""
        copy = Memo()
        copy._dense, copy._sparse = self._dense.copy(), self._sparse.copy()
        return copy


class Stack:
    """The stack with its marks; what lies below the last mark is out of reach."""

    __slots__ = ("below", "items", "size")

    def __init__(self) -> None:
        """Start empty."""
        self.items: list[Any] = []
        self.below: list[list[Any]] = []
        self.size = 0
        """Entries below the last mark, the marks included."""

    def mark(self) -> None:
        """Set a mark."""
        self.size += len(self.items) + 1
        self.below.append(self.items)
        self.items = []

    def to_mark(self) -> list[Any] | None:
        """Pop and return everything above the last mark, and the mark; None without one."""
        if not self.below:
            return None
        items, self.items = self.items, self.below.pop()
        self.size -= len(self.items) + 1
        return items

    def copy(self) -> "Stack":
        """Return a copy that holds the same values."""
        copy = Stack()
        copy.items, copy.size = self.items.copy(), self.size
        copy.below = [items.copy() for items in self.below]
        return copy
