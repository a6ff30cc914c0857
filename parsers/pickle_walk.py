"""Walk the opcodes of a pickle stream, with large strings passed over, in bounded memory.

A stream may hold others: a byte string that is a pickle itself, or an object array behind joblib's
wrapper. They are walked where they stand, by a list of frames instead of recursion.

Joblib's unpickler reads an array's raw bytes out of the middle of the stream; the standard one goes
on with opcodes there. If these bytes could be opcodes, both readings are walked, because a file
does not say who will load it.
"""

from typing import Any, Final

from prefect_mutagen.parsers.byte_ranges import Reads
from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.errors import HeaderError
from prefect_mutagen.parsers.pickle_arguments import TEXT_LIMIT, Broken
from prefect_mutagen.parsers.pickle_encoded import ENCODED, ENCODED_LIMIT
from prefect_mutagen.parsers.pickle_frames import Cut, Frame, Peek, StreamEnd
from prefect_mutagen.parsers.pickle_machine import Machine, Signal
from prefect_mutagen.parsers.pickle_numpy import plain_array
from prefect_mutagen.parsers.pickle_opcodes import FIXED, LINES, NAMES, PREFIXES
from prefect_mutagen.parsers.pickle_report import PickleReport
from prefect_mutagen.parsers.pickle_values import Node, Tensor
from prefect_mutagen.parsers.rules import make_error

__all__ = ["OPENINGS", "StreamEnd", "Walk"]

OPENINGS: Final = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
"""First bytes of a stream of protocol 2 or later."""

_BYTES: Final = frozenset(
    byte for byte, name in NAMES.items() if "BYTES" in name or name == "BYTEARRAY8"
) | {0x54, 0x55}  # the strings of Python 2
_QUOTES: Final = b"'\""
_FIRST_WINDOW: Final = 64 << 10
_LARGEST_WINDOW: Final = 4 << 20
_LONGEST_FIXED: Final = 9
_LINE_LIMIT: Final = 1 << 12
_ROOM: Final = 1 << 20
_STREAM_COST: Final = 256
"""What the state of a stream counts in containers."""
_OPCODE_LIMIT: Final = 1 << 23
"""Most opcodes of all streams of a file; a checkpoint of 2,000 tensors has 100,000."""
_FRAME_LIMIT: Final = 8
_FORK_LIMIT: Final = 64
_FORK_WINDOW: Final = 64 << 10


class Walk:
    """Walks streams of one source, one after the other."""

    def __init__(self, source: Source, report: PickleReport, beyond: int = 0) -> None:
        """Prepare a walk; what it finds goes to the report.

        Args:
            source: The bytes.
            report: Receives what is found.
            beyond: For bytes that were read ahead: how many there are in truth. Byte strings and
                joblib's arrays are nothing but data then.
        """
        self._source, self._report = source, report
        self._room = [_ROOM]
        self._frames: list[Frame] = []
        self._buffer = b""
        self._base = self._index = 0
        self._window = _FIRST_WINDOW
        self._forks = _FORK_LIMIT
        self._beyond = beyond

    def stream(
        self, start: int, stop: int, *, quiet: bool = False, machine: Machine | None = None
    ) -> Reads[StreamEnd]:
        """Walk one stream.

        Args:
            start: Its first byte.
            stop: Where it has to have ended.
            quiet: Whether the bytes may as well be no pickle, so that nothing is said against them.
            machine: State to start from; a fresh one by default.
        """
        self._seek(start)
        self._frames = [Frame(machine or self._machine(), stop)]
        while True:
            frame = self._frames[-1]
            try:
                if not (yield from self._run(frame)):
                    continue  # another stream begins inside of this one
            except Broken as broken:
                end = self._leave_broken(broken, quiet=quiet)
                if end is not None:
                    return end
                continue
            self._frames.pop()
            if not self._frames:
                return StreamEnd(self._position, whole=True, result=frame.machine.result)
            if not frame.inline and self._position < frame.stop:
                self._frames.append(Frame(self._machine(), frame.stop))

    def _leave_broken(self, broken: Broken, *, quiet: bool) -> StreamEnd | None:
        """Go on behind a byte string that is no pickle, or not to its end; else end the walk."""
        at = self._frames[-1].machine.at
        while self._frames[-1].inline:
            self._frames.pop()
        frame = self._frames.pop()
        if self._frames:
            self._seek(frame.stop)
            return None
        if not quiet:
            self._report.unreadable(self._source, at, broken.expected, broken.found)
        return StreamEnd(at, whole=False, result=None, cut=isinstance(broken, Cut))

    def _machine(self) -> Machine:
        self._room[0] -= _STREAM_COST
        if self._room[0] < 0:
            raise self._beyond_limit("streams inside of each other", _ROOM // _STREAM_COST)
        return Machine(self._report, self._source, self._room)

    @property
    def _position(self) -> int:
        return self._base + self._index

    def _seek(self, offset: int) -> None:
        index = offset - self._base
        if 0 <= index <= len(self._buffer):
            self._index = index
        else:
            self._buffer, self._base, self._index = b"", offset, 0
            self._window = _FIRST_WINDOW  # what follows may be passed over as well

    def _fill(self, count: int) -> Reads[bool]:
        """Have the next bytes in the buffer; return whether there are as many."""
        if len(self._buffer) - self._index >= count:
            return True
        for frame in self._frames:
            frame.machine.check()
        at = self._position
        stop = self._frames[0].stop
        if at >= stop:
            return False
        self._source.forget(at)
        ahead = min(max(at + count, at + self._window), stop)
        self._buffer = yield from self._source.read(at, min(at + count, stop), ahead)
        self._base, self._index = at, 0
        self._window = min(self._window * 2, _LARGEST_WINDOW)
        return len(self._buffer) >= count

    def _run(self, frame: Frame) -> Reads[bool]:  # noqa: C901, PLR0912, PLR0915 - calls cost more
        """Walk the innermost stream; return whether it came to STOP, or another begins in it."""
        machine = frame.machine
        handlers = machine.handlers
        while self._frames[-1] is frame:
            if self._report.opcodes[0] > _OPCODE_LIMIT:
                raise self._beyond_limit("opcodes", _OPCODE_LIMIT)
            full = yield from self._fill(_LONGEST_FIXED)
            buffer, base, index = self._buffer, self._base, self._index
            end = min(len(buffer), frame.stop - base)
            if index >= end:
                machine.at = base + index
                raise Cut("STOP", "the end of the bytes")
            last = not full or base + end == frame.stop
            safe = end if last else end - _LONGEST_FIXED + 1
            signal, count = None, 0
            try:
                while index < safe:
                    op = buffer[index]
                    machine.at = base + index
                    count += 1
                    size = FIXED[op]
                    if size == 0:
                        index += 1
                        signal = handlers[op]()  # type: ignore[misc]
                    elif size > 0:
                        first, index = index + 1, index + 1 + size
                        if index > end:
                            raise Cut(f"{size} bytes behind {NAMES[op]}", "the end of the bytes")
                        if machine.frame_end and base + index > machine.frame_end:
                            machine.judge_frame(base + index)
                        signal = handlers[op](buffer[first:index])  # type: ignore[misc]
                    elif (behind := self._quick(op, machine, index + 1, end)) > 0:
                        index = behind
                    else:
                        self._index = index + 1
                        yield from self._argument(op, frame)
                        if self._frames[-1] is not frame:
                            return False
                        if self._buffer is not buffer:
                            break
                        index = self._index
                    if signal is not None:
                        break
                else:
                    self._index = index
                    continue
            finally:
                self._report.opcodes[0] += count
            if signal is not None:
                self._index = index
                if signal == Signal.STOP:
                    return True
                yield from self._array(frame)
        return False

    def _quick(self, op: int, machine: Machine, index: int, end: int) -> int:
        """Hand over a short argument that is in the buffer; return the index behind it, else 0."""
        buffer = self._buffer
        prefix = PREFIXES.get(op)
        if prefix is not None:
            width, signed = prefix
            first = index + width
            stop = first + int.from_bytes(buffer[index:first], "little", signed=signed)
            if not (first <= end and first <= stop <= min(end, first + TEXT_LIMIT)):
                return 0
            data = buffer[first:stop]
            if op in _BYTES and data[:2] in OPENINGS:
                return 0
            self._keep(data)
            parts: tuple[bytes, ...] = (data,)
        else:
            limit = min(end, index + TEXT_LIMIT)
            middle = stop = buffer.find(b"\n", index, limit) + 1
            if stop and LINES.get(op) == 2:
                stop = buffer.find(b"\n", middle, limit) + 1
            if not stop or op not in LINES:
                return 0
            parts = (buffer[index : middle - 1], buffer[middle : stop - 1])[: LINES[op]]
            self._keep(parts[0])
        if self._base + stop > machine.frame_end > machine.at:
            machine.judge_frame(self._base + stop)
        machine.handlers[op](*parts)  # type: ignore[misc]
        return stop

    def _argument(self, op: int, frame: Frame) -> Reads[None]:
        """Read an argument whose size varies, and hand it to the machine."""
        handler = frame.machine.handlers[op]
        if handler is None:
            raise Broken("an opcode", f"byte 0x{op:02x}")
        if op in LINES:
            lines = []
            ended = True
            for _ in range(LINES[op]):
                line, ended = yield from self._line(frame)
                lines.append(line)
            frame.machine.judge_frame(self._position)
            self._keep(lines[0])
            if ended or len(lines) > 1:  # an unpickler looks the name up before it sees the end
                handler(*lines)
            if not ended:
                raise Cut("the end of a line", "the end of the bytes")
            return
        width, signed = PREFIXES[op]
        yield from self._fill(width)
        prefix = self._buffer[self._index : self._index + width]
        length = int.from_bytes(prefix, "little", signed=signed)
        self._index += len(prefix)
        stop = self._position + length
        if length < 0 or len(prefix) < width or stop > frame.stop:
            kind = Cut if stop <= self._beyond else Broken
            raise kind("a length within the file", f"{NAMES[op]} of {length} bytes")
        frame.machine.judge_frame(max(stop, frame.machine.at + 2))
        if op in _BYTES:
            yield from self._bytes(handler, length, stop)
        elif length <= TEXT_LIMIT:
            if not (yield from self._fill(length)):
                raise Cut(f"{length} bytes", "the end of the bytes")
            data = self._buffer[self._index : self._index + length]
            self._index += length
            self._keep(data)
            handler(data)
        else:
            yield from self._look_at_text(length)
            handler(None)
            self._seek(stop)

    def _look_at_text(self, length: int) -> Reads[None]:
        """Keep a long text that may be a pickle in other digits."""
        yield from self._fill(len(ENCODED[0]))
        if self._buffer[self._index : self._index + len(ENCODED[0])] in ENCODED:
            kept = min(length, ENCODED_LIMIT)
            yield from self._fill(kept)
            self._keep(self._buffer[self._index : self._index + kept])

    def _keep(self, text: bytes | None) -> None:
        """Keep a text that may be a pickle in other digits."""
        if text is not None and text.lstrip(_QUOTES)[:2] in ENCODED:
            self._report.keep_text(text, self._source, self._frames[-1].machine.at)

    def _bytes(self, handler: Any, length: int, stop: int) -> Reads[None]:
        """Pass over a byte string, or begin to walk it if it is a pickle itself."""
        if length > len(OPENINGS[0]):
            yield from self._fill(len(OPENINGS[0]))
        head = self._buffer[self._index : self._index + len(OPENINGS[0])]
        nested = length > len(head) and head in OPENINGS and not self._beyond
        data = None
        if length <= TEXT_LIMIT and not nested:
            yield from self._fill(length)
            data = self._buffer[self._index : self._index + length]
            self._keep(data)
        elif not nested:
            yield from self._look_at_text(length)
        handler(data)
        if nested:
            self._begin(Frame(self._machine(), stop))
        else:
            self._seek(stop)

    def _begin(self, frame: Frame) -> None:
        if len(self._frames) >= _FRAME_LIMIT:
            raise self._beyond_limit("pickles inside of each other", _FRAME_LIMIT)
        self._frames.append(frame)

    def _beyond_limit(self, what: str, limit: int) -> HeaderError:
        return make_error(
            "pickle/unexamined",
            offset=self._source.locate(self._position),
            field=what,
            expected=f"at most {limit}",
            found="more",
        )

    def _line(self, frame: Frame) -> Reads[tuple[bytes | None, bool]]:
        """Read a line; return it without its end, None if it is long, and whether it has an end."""
        kept = b""
        while True:
            yield from self._fill(1)
            end = min(len(self._buffer), frame.stop - self._base)
            first = self._index
            if first >= end:
                return kept[:-1], False
            found = self._buffer.find(b"\n", first, end)
            self._index = end if found < 0 else found + 1
            kept += self._buffer[first : min(end if found < 0 else found, first + _LINE_LIMIT)]
            if found >= 0:
                return (kept if len(kept) < _LINE_LIMIT else None), True
            kept = kept[:_LINE_LIMIT]

    def _array(self, frame: Frame) -> Reads[None]:
        """Pass over an array that joblib's unpickler reads out of the stream."""
        if self._beyond:
            return
        machine = frame.machine
        if self._position < machine.frame_end:
            raise Broken("an array behind its frame", "an array inside of a frame")
        wrapper: Node = machine.stack.items[-1]
        stated = plain_array(wrapper)
        if stated is None:
            raise Broken("an array as joblib writes it", "another, which it may read otherwise")
        described, shape, is_padded = stated
        machine.stack.items[-1] = array = Tensor(*described, shape)
        if array.dtype == "OBJECT":
            inner = Frame(self._machine(), frame.stop, inline=True)
            inner.machine.forbid_memoize()
            self._begin(inner)
            return
        yield from self._walk_as_opcodes(machine)
        size = array.width
        for dim in shape:
            size *= dim
        if is_padded:
            yield from self._fill(1)
            size += 1 + self._buffer[self._index] if self._index < len(self._buffer) else 0
        if self._position + size > frame.stop:
            raise Cut(f"an array of {size} bytes", "the end of the bytes")
        self._seek(self._position + size)

    def _walk_as_opcodes(self, machine: Machine) -> Reads[None]:
        """Walk an array's bytes as the standard unpickler would, if they could be opcodes."""
        at = self._position
        data = yield from self._source.read(at, at + 1, at + _FORK_WINDOW)
        if not data or data[0] not in NAMES:
            return
        if not self._forks:
            raise self._beyond_limit("arrays that could be opcodes", _FORK_LIMIT)
        self._forks -= 1
        peek = Peek(data[:_FORK_WINDOW], self._source, at)
        walk = Walk(peek, self._report, self._source.size - at)
        end = yield from walk.stream(0, peek.size, quiet=True, machine=machine.fork(peek))
        if end.cut and peek.size == _FORK_WINDOW:
            raise Broken("an array", "bytes that are opcodes to other unpicklers")
