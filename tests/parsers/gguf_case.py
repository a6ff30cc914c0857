"""What a case of a GGUF file is, and short ways to make one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.builders import STRING, Gguf, gguf

ARCH = ("general.architecture", STRING, "llama")


@dataclass(frozen=True)
class Case:
    """One file and what has to be said about it."""

    id: str
    data: bytes
    errors: tuple[tuple[str, int], ...] = ()
    """Code (without ``gguf/``) and offset of each error."""
    notes: tuple[tuple[str, int], ...] = ()
    """The same of warnings and infos."""
    loads: bool = True
    """Whether ggml takes the file."""


def case(
    name: str,
    file: Gguf | bytes,
    *errors: tuple[str, str | int],
    notes: tuple[tuple[str, str | int], ...] = (),
    loads: bool | None = None,
    cut: int | None = None,
) -> Case:
    """Make a case; places are offsets or names of fields of the built file."""

    def place(where: str | int) -> int:
        return where if isinstance(where, int) else file.at(where)  # type: ignore[union-attr]

    data = file if isinstance(file, bytes) else file.data
    return Case(
        name,
        data if cut is None else data[:cut],
        tuple((code, place(where)) for code, where in errors),
        tuple((code, place(where)) for code, where in notes),
        not errors if loads is None else loads,
    )


def kv(*entries: tuple[str, int, Any], **options: Any) -> Gguf:
    """Build a file with these entries behind the architecture."""
    return gguf((ARCH, *entries), **options)


def patched(patch: Mapping[str, bytes], **options: Any) -> Gguf:
    """Build a file in which other bytes stand at some places."""
    return gguf(patch=patch, **options)
