"""Names of files that hold a licence."""

import re
from typing import Final

__all__ = ["LICENSE_FILES", "is_license_file"]

LICENSE_FILES: Final = (
    *("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt"),
    *("COPYING", "COPYING.md", "COPYING.txt", "UNLICENSE"),
)
"""The usual names of licence files; `is_license_file` knows their variants."""
_WORDS: Final = ("licen", "copying", "terms")
_FILE: Final = (
    r"(?:[\w-]+[-_.])?(?:un)?licen[cs]e(?:[-_.][\w.-]*)?|copying(?:[.-][\w.-]*)?|"
    r"[\w-]*terms[-_]of[-_]use(?:\.\w+)?"
)
_NO_TEXT: Final = r".*\.(?:py|js|json|ya?ml|html?|pdf|docx?|png|gguf|safetensors|bin|pt)"


def is_license_file(name: str) -> bool:
    """Whether a file of this name holds a licence: ``LICENSE-MIT``, ``COPYING.txt``."""
    lower = name.lower()
    if not any(word in lower for word in _WORDS):
        return False
    return bool(re.fullmatch(_FILE, lower)) and not re.fullmatch(_NO_TEXT, lower)
