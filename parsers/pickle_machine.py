"""The effect of each opcode on stack and memo, without anything being imported or called.

References: CPython's ``Lib/pickle.py`` (``_Unpickler``) and ``Modules/_pickle.c``. Where the two
differ, the machine goes on as long as either does, so that no global stays unseen that one of them
would look up. `Broken` ends a stream where both do.
"""

from collections.abc import Callable
from typing import Any, Final

from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.pickle_arguments import DECODERS, Broken, index_of, name_of
from prefect_mutagen.parsers.pickle_numpy import refused_call, refused_state
from prefect_mutagen.parsers.pickle_opcodes import NAMES
from prefect_mutagen.parsers.pickle_report import PickleReport
from prefect_mutagen.parsers.pickle_tensors import JOBLIB_ARRAY, call, set_state, storage_of
from prefect_mutagen.parsers.pickle_values import (
    ENTRY_LIMIT,
    NONE,
    OPAQUE,
    Global,
    Memo,
    Node,
    Stack,
    too_many,
)

__all__ = ["Machine", "Signal"]

_TUPLE_LIMIT: Final = 4096
_HIGHEST_PROTOCOL: Final = 5
_MEMOIZE: Final = 0x94


class Signal:
    """What an opcode asks of the walk."""

    STOP: Final = 1
    """The stream ends; the object is `Machine.result`."""
    ARRAY: Final = 2
    """Joblib's unpickler reads an array here, out of the file behind the opcode."""


class Machine:
    """Stack and memo of one stream."""

    __slots__ = (
        "_report",
        "_room",
        "_source",
        "at",
        "frame_end",
        "handlers",
        "memo",
        "protocol",
        "result",
        "stack",
    )

    def __init__(self, report: PickleReport, source: Source, room: list[int]) -> None:
        """Start a stream.

        Args:
            report: Receives globals, storages and errors.
            source: The bytes that are walked, for offsets.
            room: How many containers may still be made: one number, shared by all streams.
        """
        self._report, self._source, self._room = report, source, room
        self.stack, self.memo = Stack(), Memo()
        self.protocol = 0
        self.result: Any = None
        self.at = 0
        """Offset of the opcode that is at work."""
        self.frame_end = 0
        """Where the last frame ends; see `judge_frame`."""
        self.handlers = self._table()

    def fork(self, source: Source) -> "Machine":
        """Return a machine in the same state that walks other bytes."""
        other = Machine(self._report, source, self._room)
        other.stack, other.memo, other.protocol = self.stack.copy(), self.memo.copy(), self.protocol
        return other

    def forbid_memoize(self) -> None:
        """Refuse MEMOIZE, which would count the entries of another stream in other unpicklers."""

        def refuse() -> None:
            raise Broken("numbered memo entries", "MEMOIZE inside of another stream")

        handlers = list(self.handlers)
        handlers[_MEMOIZE] = refuse
        self.handlers = tuple(handlers)

    def check(self) -> None:
        """Check that the stack is of a size that is followed.

        Raises:
            UnsupportedError: It is larger.
        """
        if self.stack.size + len(self.stack.items) > ENTRY_LIMIT:
            raise too_many("stack", self._source.locate(self.at))

    def _table(self) -> tuple[Callable[..., int | None] | None, ...]:
        table: list[Callable[..., int | None] | None] = [None] * 256
        pushes = {"NONE": NONE, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
        for byte, name in NAMES.items():
            if name in pushes:
                table[byte] = self._pusher(pushes[name])
            elif name in DECODERS:
                table[byte] = self._decoder(DECODERS[name])
            else:
                table[byte] = getattr(self, f"_{name.lower()}")
        return tuple(table)

    def _pusher(self, value: Any) -> Callable[[], None]:
        def push() -> None:
            self.stack.items.append(value)

        return push

    def _decoder(self, decode: Callable[[Any], Any]) -> Callable[[Any], None]:
        def push(data: Any) -> None:
            self.stack.items.append(decode(data))

        return push

    # What the others are made of.

    def _take(self) -> Any:
        if not self.stack.items:
            raise Broken("a value on the stack", "none above the last mark")
        return self.stack.items.pop()

    def _top(self) -> Any:
        if not self.stack.items:
            raise Broken("a value on the stack", "none above the last mark")
        return self.stack.items[-1]

    def _to_mark(self) -> list[Any]:
        items = self.stack.to_mark()
        if items is None:
            raise Broken("a mark on the stack", "none")
        return items

    def _make(self, value: Any) -> Any:
        room = self._room
        room[0] -= 1
        if room[0] < 0:
            raise too_many("containers", self._source.locate(self.at))
        return value

    def _remember(self, key: int) -> None:
        if not self.memo.put(key, self._top()):
            raise too_many("memo", self._source.locate(self.at))

    def _recall(self, key: int) -> None:
        value = self.memo.get(key)
        if value is None:
            raise Broken("a memo entry that exists", f"entry {key}")
        self.stack.items.append(value)

    def _import(self, module: str | None, name: str | None, what: str) -> Any:
        if module is None or name is None:
            self._report.undecided(what, self._source, self.at)
            return self._make(Node(OPAQUE))
        path = self._report.add_global(module, name, self.protocol, self._source, self.at)
        return self._make(Global(*path))

    def _call(self, function: Any, args: Any) -> None:
        self._report.calls += 1
        if isinstance(function, Global):
            if refused := refused_call(function, args):
                self._report.undecided(refused, self._source, self.at)
            self.stack.items.append(self._make(call(function, args)))
            return
        if not (isinstance(function, Node) and function.maker is OPAQUE):  # reported already
            what = "a call of something that is no global"
            self._report.undecided(what, self._source, self.at)
        self.stack.items.append(self._make(Node(OPAQUE)))

    # Opcodes without an argument.

    def _next_buffer(self) -> None:
        self.stack.items.append(OPAQUE)

    def _readonly_buffer(self) -> None:
        self._top()

    def _empty_list(self) -> None:
        self.stack.items.append(self._make(Node()))

    _empty_dict = _empty_set = _empty_list

    def _append(self) -> None:
        value, target = self._take(), self._top()
        if isinstance(target, Node):
            target.add(target.count, value)

    def _appends(self) -> None:
        items, target = self._to_mark(), self._top()
        if isinstance(target, Node):
            for value in items:
                target.add(target.count, value)

    def _list(self) -> None:
        node = Node()
        for value in self._to_mark():
            node.add(node.count, value)
        self.stack.items.append(self._make(node))

    _frozenset = _list

    def _additems(self) -> None:
        self._to_mark()
        self._top()

    def _tuple(self) -> None:
        items = self._to_mark()
        kept = self._make(tuple(items)) if len(items) <= _TUPLE_LIMIT else OPAQUE
        self.stack.items.append(kept)

    def _tuple1(self) -> None:
        self.stack.items.append(self._make((self._take(),)))

    def _tuple2(self) -> None:
        second, first = self._take(), self._take()
        self.stack.items.append(self._make((first, second)))

    def _tuple3(self) -> None:
        third, second, first = self._take(), self._take(), self._take()
        self.stack.items.append(self._make((first, second, third)))

    def _dict(self) -> None:
        node = Node()
        items = self._to_mark()
        for key, value in zip(items[::2], items[1::2], strict=False):
            node.add(key, value)
        self.stack.items.append(self._make(node))

    def _setitem(self) -> None:
        value, key, target = self._take(), self._take(), self._top()
        if isinstance(target, Node):
            target.add(key, value)

    def _setitems(self) -> None:
        items, target = self._to_mark(), self._top()
        if isinstance(target, Node):
            for key, value in zip(items[::2], items[1::2], strict=False):
                target.add(key, value)

    def _pop(self) -> None:
        if self.stack.items:
            self.stack.items.pop()
        else:
            self._to_mark()

    def _dup(self) -> None:
        self.stack.items.append(self._top())

    def _mark(self) -> None:
        self.stack.mark()
        if self.stack.size > ENTRY_LIMIT:
            raise too_many("stack", self._source.locate(self.at))

    def _pop_mark(self) -> None:
        self._to_mark()

    def _memoize(self) -> None:
        if not self.stack.items:
            self._top()
        if not self.memo.append(self.stack.items[-1]):
            raise too_many("memo", self._source.locate(self.at))

    def _stack_global(self) -> None:
        name, module = self._take(), self._take()
        texts = isinstance(name, str) and isinstance(module, str)
        what = "a module or name that is no plain string"
        found = self._import(module if texts else None, name if texts else None, what)
        self.stack.items.append(found)

    def _reduce(self) -> None:
        args, function = self._take(), self._take()
        self._call(function, args)

    _newobj = _reduce

    def _newobj_ex(self) -> None:
        self._take()
        self._reduce()

    def _obj(self) -> None:
        items = self._to_mark()
        if not items:
            raise Broken("a class behind the mark", "none")
        self._call(items[0], tuple(items[1:_TUPLE_LIMIT]))

    def _build(self) -> int | None:
        state, target = self._take(), self._top()
        if isinstance(target, Global):
            at = self._source.locate(self.at)
            found = f"a change of {target.module}.{target.name}"
            expected = "an object that the stream has made"
            self._report.note("pickle/forbidden-build", at, "BUILD", expected, ascii(found))
            return None
        if refused := refused_state(target, state):
            expected = "a state that picklers write"
            self._report.unreadable(self._source, self.at, expected, refused)
        self.stack.items[-1] = built = set_state(target, state)
        return Signal.ARRAY if isinstance(built, Node) and built.made_by(JOBLIB_ARRAY) else None

    def _stop(self) -> int:
        if self.frame_end != self.at + 1:
            self.judge_frame(self.at + 1)
        self.result = self._take()
        return Signal.STOP

    def _binpersid(self) -> None:
        self.stack.items.append(self._persistent(self._take()))

    def _persistent(self, pid: Any) -> Any:
        storage = storage_of(pid)
        if storage is None:
            return OPAQUE
        self._report.add_storage(storage)
        return storage

    # Opcodes with an argument.

    def _binget(self, data: bytes) -> None:
        self._recall(int.from_bytes(data, "little"))

    _long_binget = _binget

    def _binput(self, data: bytes) -> None:
        self._remember(int.from_bytes(data, "little"))

    _long_binput = _binput

    def _ext1(self, data: bytes) -> None:
        code = str(int.from_bytes(data, "little"))
        self.stack.items.append(self._import("extension", code, ""))

    _ext2 = _ext1

    def _ext4(self, data: bytes) -> None:
        code = str(int.from_bytes(data, "little", signed=True))
        self.stack.items.append(self._import("extension", code, ""))

    def _proto(self, data: bytes) -> None:
        if data[0] > _HIGHEST_PROTOCOL:
            raise Broken(f"a protocol up to {_HIGHEST_PROTOCOL}", str(data[0]))
        self.protocol = data[0]
        self._report.protocol = max(self._report.protocol, data[0])

    def _frame(self, data: bytes) -> None:
        self.judge_frame(self.at + 1)
        self.frame_end = self.at + 1 + len(data) + int.from_bytes(data, "little")

    def judge_frame(self, end: int) -> None:
        """Report a frame that ends elsewhere than between two opcodes, or behind STOP.

        The compiled unpickler drops what is left of a frame when an argument does not fit into it,
        and reads the argument from behind the frame; the pure one fails. Picklers write no such
        frames. The walk goes on as if there were none.

        Args:
            end: Offset up to which the opcode's argument reaches.
        """
        if self.at < self.frame_end and (self.frame_end < end or end == self.at + 1):
            found = f"the end of a frame at byte {self.frame_end}"
            self._report.unreadable(self._source, self.at, "frames of whole opcodes", found)
            self.frame_end = 0

    def _get(self, line: bytes | None) -> None:
        self._recall(index_of(line))

    def _put(self, line: bytes | None) -> None:
        key = index_of(line)
        if key < 0:
            raise Broken("a memo entry of 0 or more", "a negative one")
        self._remember(key)

    def _global(self, module: bytes | None, name: bytes | None) -> None:
        found = self._import(name_of(module), name_of(name), "a name longer than any that is known")
        self.stack.items.append(found)

    def _inst(self, module: bytes | None, name: bytes | None) -> None:
        found = self._import(name_of(module), name_of(name), "a name longer than any that is known")
        self._call(found, tuple(self._to_mark()[:_TUPLE_LIMIT]))
