"""Decide whether a path that a file states leaves the file's own folder.

As strict as ``onnx.checker`` and Python's own filter for archives: no path of any system that is
absolute, names a drive or a scheme, or steps upwards anywhere.
"""

import re
from typing import Final

__all__ = ["leaves_folder"]

_ABSOLUTE: Final = re.compile(r"\s*(?:[/\\~*]|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)
_SEPARATOR: Final = re.compile(r"[/\\]")


def leaves_folder(path: str) -> bool:
    """Whether a path is absolute, has a scheme or a drive, or steps upwards.

    ``*/_ORT_MEM_ADDR_/*`` counts as well: onnxruntime reads such a location as a memory address.
    """
    if "\0" in path or _ABSOLUTE.match(path):
        return True
    return any(part.strip(" ") == ".." for part in _SEPARATOR.split(path))
