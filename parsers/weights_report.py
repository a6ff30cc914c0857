"""What the readers of weights in other formats have found so far."""

from typing import Final

from prefect_mutagen.parsers.byte_sources import Source
from prefect_mutagen.parsers.error_list import ErrorList
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.rules import make_error
from prefect_mutagen.parsers.tensor import TensorInfo
from prefect_mutagen.parsers.weights_header import OtherWeightsHeader

__all__ = ["WeightsReport", "named_in_text"]

_INCOMPLETE: Final = frozenset(
    ("weights/unreadable", "weights/truncated", "weights/unexamined", "zip/no-directory")
)
_FILE_LIMIT: Final = 4096


class WeightsReport:
    """Collects what the reader of one format finds.

    Attributes:
        format: Name of the format; "" until one is recognised.
        details: Clauses for people, after the format's own name.
        found: Whether the content has shown to be of this format.
        complete: False once something was left unread.
    """

    def __init__(self, name: str) -> None:
        """Start empty.

        Args:
            name: The file's name, without its folder and in lower case.
        """
        self.name = name
        self.format = self.framework = ""
        self.details: list[str] = []
        self.holds_pickles = self.found = False
        self.complete = True
        self.errors = ErrorList()
        self._tensors: list[TensorInfo] = []
        self._files: dict[str, None] = {}
        self._noted: set[tuple[str, str, str]] = set()

    def recognise(self, form: str, title: str, framework: str = "") -> None:
        """Set the format; ``title`` opens the description."""
        self.format, self.framework = form, framework
        self.details = [title]

    def note(
        self, code: str, source: Source, offset: int, field: str, expected: str, found: str
    ) -> None:
        """Add an error once for each field and value."""
        if (key := (code, field, found)) in self._noted:
            return
        if len(self._noted) < _FILE_LIMIT:
            self._noted.add(key)
        field = f"{field} of {shown(source.label)}" if source.label else field
        self.errors.add(
            make_error(
                code, offset=source.locate(offset), field=field, expected=expected, found=found
            )
        )

    def add_tensor(self, tensor: TensorInfo) -> None:
        """Add a tensor."""
        self._tensors.append(tensor)

    def add_file(self, name: str) -> None:
        """Add a file that a loader reads besides."""
        if len(self._files) < _FILE_LIMIT:
            self._files[name] = None

    def finish(self, size: int) -> OtherWeightsHeader:
        """Return the header; ``size`` is the number of bytes that were read."""
        errors = self.errors.finish()
        codes = {error.code for error in errors}
        complete = bool(self.format) and self.complete and not codes & _INCOMPLETE
        return OtherWeightsHeader(
            format=self.format,
            description=", ".join(self.details),
            holds_pickles=self.holds_pickles,
            framework=self.framework,
            tensors=tuple(self._tensors) if complete else (),
            errors=errors,
            complete=complete,
            header_size=size,
            external_files=tuple(self._files),
        )


def named_in_text(value: str, length: int = 40) -> str:
    """Return a text of a file for a description: printable ASCII, limited."""
    plain = "".join(char if char.isascii() and char.isprintable() else "?" for char in value)
    return plain if len(plain) <= length else f"{plain[:length]}..."
