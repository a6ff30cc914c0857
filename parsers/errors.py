"""The error tree of the header readers; each branch says who has to fix the file.

    HeaderError                 abstract base
    ├── NotAModelError          the file is something else, despite its name
    ├── TruncatedError          the file ends before what it declares
    ├── MalformedError          the writer broke a rule of the format
    ├── UnsafeError             loading the file would run, import or change something
    ├── UnsupportedError        well formed, but refused by current loaders or by this reader
    └── IrregularityError       accepted by loaders but against the specification, or informational

Readers raise these internally only. Their result is a header with a tuple of errors: a bad file is
a value, not an exception. An error carries its data as attributes (``code``, ``offset``, ``field``,
``expected``, ``found``) and renders its text from them.

``offset`` is the file offset of the first byte of the faulty field. A string starts at its length
prefix, an array at its element type, a value of the wrong type at its type. An inconsistent number
is reported at its own offset, truncated data at the end of the file. In a safetensors header the
offset is that of the JSON value.
"""

from typing import Any, Literal

__all__ = [
    "HeaderError",
    "IrregularityError",
    "MalformedError",
    "NotAModelError",
    "Severity",
    "TruncatedError",
    "UnsafeError",
    "UnsupportedError",
    "named",
    "shown",
]

Severity = Literal["error", "warning", "info"]

_SHOWN_LENGTH = 64
_FAMILIES = {
    "gguf": "GGUF",
    "safetensors": "safetensors",
    "pickle": "pickle",
    "weights": "weights",
    "zip": "ZIP",
}


class HeaderError(Exception):
    """One error or observation about a header.

    Attributes:
        code: Stable identifier of the rule, such as ``gguf/truncated``; its meaning never changes.
        severity: ``error`` when the reference loader refuses the file.
        offset: First byte of the field at fault, counted from the start of the file.
        field: Name of the field that was being read, in the format's terms.
        expected: What the rule requires.
        found: What the file contains, quoted and limited to a few dozen characters.
    """

    def __init__(
        self, code: str, severity: Severity, *, offset: int, field: str, expected: str, found: str
    ) -> None:
        """Store the error's data; see the class.

        Raises:
            TypeError: The abstract base was instantiated.
        """
        if type(self) is HeaderError:
            raise TypeError("HeaderError is abstract; instantiate one of its subclasses")
        super().__init__(code, severity, offset, field, expected, found)
        self.code = code
        self.severity: Severity = severity
        self.offset = offset
        self.field = field
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        """Return one sentence: where, what was found, what was expected."""
        family = self.code.partition("/")[0]
        name = _FAMILIES.get(family, "file")
        return f"{name}: {self.field} at byte {self.offset}: {self.found}; expected {self.expected}"

    def __eq__(self, other: object) -> bool:
        """Compare by data, so that two reads of one file compare equal."""
        return type(self) is type(other) and self.args == other.args

    def __hash__(self) -> int:
        """Hash by data, consistent with equality."""
        return hash((type(self), self.args))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by data: worker processes return errors."""
        return _rebuild, (type(self), self.args)


class NotAModelError(HeaderError):
    """The file is not a model: a web page, a git-lfs pointer, an archive, an empty file."""


class TruncatedError(HeaderError):
    """The file ends before what it declares, usually because a download was interrupted."""


class MalformedError(HeaderError):
    """The file breaks a rule of its format and has to be rewritten."""


class UnsafeError(HeaderError):
    """Loading the file would run, import or change what is not on the list of harmless things."""


class UnsupportedError(HeaderError):
    """Current loaders, or the limits of this reader, do not accept the file."""


class IrregularityError(HeaderError):
    """Loaders accept the file; the specification forbids it, or the error is informational."""


def _rebuild(kind: type[HeaderError], args: tuple[Any, ...]) -> HeaderError:
    code, severity, offset, field, expected, found = args
    return kind(code, severity, offset=offset, field=field, expected=expected, found=found)


def shown(value: bytes | str) -> str:
    """Quote a value from a file as printable ASCII, truncated.

    Args:
        value: Any string or bytes, including hostile ones.

    Returns:
        A quoted form that is safe in a terminal, a log and a web page.
    """
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if len(text) <= _SHOWN_LENGTH:
        return ascii(text)
    return f"{text[:_SHOWN_LENGTH]!a}... ({len(text)} characters)"


def named(key: str) -> str:
    """Return a key or tensor name for use in a sentence: verbatim if harmless, else quoted."""
    if len(key) <= _SHOWN_LENGTH and key.isascii() and key.isprintable() and key:
        return key
    return shown(key)
