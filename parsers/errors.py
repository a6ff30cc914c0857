"""What can be wrong with a header, as a tree that says whose fault it is.

    HeaderError                 never made itself
    ├── NotAModelError          something else lies under the model's name
    ├── TruncatedError          the file ends before what it declares
    ├── MalformedError          a rule of the format is broken: the writer's fault
    ├── UnsupportedError        well formed, but today's loaders, or this reader, refuse it
    └── IrregularityError       loaders take it, the specification does not; or good to know

A reader raises these only to itself. What it hands out is a header with a tuple of them, because a
bad file is a value, not an accident. Each one carries data first (``code``, ``offset``, ``field``,
``expected``, ``found``) and draws its text from that data.

``offset`` is the first byte, in the file, of the field at fault: a string starts at its length
prefix, an array at its element type, a value of the wrong type at its type; a number that fits its
neighbours badly is blamed where it stands; data that is cut is blamed at the end of the file;
inside a safetensors header it is the value in the JSON.
"""

from typing import Any, Literal

__all__ = [
    "HeaderError",
    "IrregularityError",
    "MalformedError",
    "NotAModelError",
    "Severity",
    "TruncatedError",
    "UnsupportedError",
    "named",
    "shown",
]

Severity = Literal["error", "warning", "info"]

_SHOWN_LENGTH = 64


class HeaderError(Exception):
    """One thing wrong with a header, or worth knowing about it.

    Attributes:
        code: Stable name of the rule, such as ``gguf/truncated``; its meaning never changes.
        severity: ``error`` when the reference loader refuses the file.
        offset: First byte of the field at fault, counted from the start of the file.
        field: What was being read, in the words of the format.
        expected: What the rule asks for.
        found: What the file holds; never more than a few dozen characters of it.
    """

    def __init__(
        self, code: str, severity: Severity, *, offset: int, field: str, expected: str, found: str
    ) -> None:
        """Keep the facts; the text is drawn from them.

        Raises:
            TypeError: The base class itself was called.
        """
        if type(self) is HeaderError:
            raise TypeError("HeaderError is the root of a tree; make one of its children")
        super().__init__(code, severity, offset, field, expected, found)
        self.code = code
        self.severity: Severity = severity
        self.offset = offset
        self.field = field
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        """Draw one sentence: where, what was found, what the rule asks for."""
        family = self.code.partition("/")[0]
        name = {"gguf": "GGUF", "safetensors": "safetensors"}.get(family, "file")
        return f"{name}: {self.field} at byte {self.offset}: {self.found}; expected {self.expected}"

    def __eq__(self, other: object) -> bool:
        """Compare by data, so that two readings of one file can be compared."""
        return type(self) is type(other) and self.args == other.args

    def __hash__(self) -> int:
        """Hash by data, in step with equality."""
        return hash((type(self), self.args))

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the facts: workers in other processes hand these back."""
        return _rebuild, (type(self), self.args)


class NotAModelError(HeaderError):
    """Something else lies under the model's name: a web page, a pointer, an archive, nothing."""


class TruncatedError(HeaderError):
    """The file ends before what it declares: an interrupted download, most of the time."""


class MalformedError(HeaderError):
    """A rule of the format is broken; whoever wrote the file has to write it again."""


class UnsupportedError(HeaderError):
    """A form that current loaders, or the limits of this reader, do not accept."""


class IrregularityError(HeaderError):
    """Loaders accept it; the specification forbids it, or it is good to know."""


def _rebuild(kind: type[HeaderError], facts: tuple[Any, ...]) -> HeaderError:
    code, severity, offset, field, expected, found = facts
    return kind(code, severity, offset=offset, field=field, expected=expected, found=found)


def shown(value: bytes | str) -> str:
    """Quote a value that came from a file: printable ASCII only, and never much of it.

    Args:
        value: Any text or bytes, hostile ones included.

    Returns:
        A quoted form that no terminal, log or page takes for anything but text.
    """
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if len(text) <= _SHOWN_LENGTH:
        return ascii(text)
    return f"{text[:_SHOWN_LENGTH]!a}... ({len(text)} characters)"


def named(key: str) -> str:
    """Name a key or a tensor inside a sentence: as it stands when harmless, else quoted."""
    if len(key) <= _SHOWN_LENGTH and key.isascii() and key.isprintable() and key:
        return key
    return shown(key)
