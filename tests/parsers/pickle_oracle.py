"""CPython's own unpicklers, as a child process that imports nothing a pickle asks for.

It reads pickles from its input, each behind its length, and answers with the globals that the
compiled and the pure unpickler look up: ``find_class`` records them and returns inert stand-ins.
"""

import io
import json
import pickle
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE, Popen
from typing import Any, Self

LIMIT = 1 << 30


class Inert:
    """Takes every call, item, attribute and state, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take anything."""

    def __call__(self, *_: Any, **__: Any) -> "Inert":
        return Inert()

    def __setstate__(self, state: Any) -> None: ...
    def append(self, item: Any) -> None: ...
    def extend(self, items: Any) -> None: ...
    def add(self, item: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None: ...


def _record(kind: Any, data: bytes) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []

    class Recorder(kind):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            asked.append((module, name))
            return Inert

        def persistent_load(self, _: Any) -> Any:
            return Inert()

        def get_extension(self, code: int) -> None:  # the pure one alone
            asked.append(("extension", str(code)))
            self.append(Inert)

    with suppress(Exception):  # whatever stops it, what it asked for counts
        Recorder(io.BytesIO(data)).load()
    return asked


def main() -> None:
    """Answer until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    pure = pickle._Unpickler
    while length := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack("<I", length)[0])
        asked = _record(pickle.Unpickler, data) + _record(pure, data)
        print(json.dumps(asked), flush=True)


@contextmanager
def oracle() -> Iterator[Callable[[bytes], set[tuple[str, str]]]]:
    """Run the child; the function asks it about a pickle."""
    with Popen([sys.executable, "-I", __file__], stdin=PIPE, stdout=PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        stdin, stdout = child.stdin, child.stdout

        def ask(data: bytes) -> set[tuple[str, str]]:
            stdin.write(struct.pack("<I", len(data)) + data)
            stdin.flush()
            return {(module, name) for module, name in json.loads(stdout.readline())}

        yield ask
        stdin.close()


if __name__ == "__main__":
    main()
