"""Names of files that hold a licence."""

import re
from typing import Final

__all__ = ["LICENSE_LAYER", "LICENSE_LIMIT", "is_license_file", "may_state_license"]

LICENSE_LIMIT: Final = 1 << 18
"""Most bytes that are read of a licence file; the longest licences have an eighth of it."""
LICENSE_LAYER: Final = "license"
"""Kind of the layers of an Ollama model that are licences; they have no path."""
_WORDS: Final = ("licen", "copying", "terms")
_FILE: Final = re.compile(
    r"(?:[\w-]+[-_.])?(?:un)?licen[cs]es?(?:[-_.][\w.-]*)?|copying(?:[.-][\w.-]*)?"
    r"|[\w-]*terms[-_]of[-_]use(?:\.\w+)?"
)
_NO_TEXT: Final = re.compile(
    r".*\.(?:py|js|json|jsonl|ya?ml|toml|pdf|docx?|png|gguf|safetensors|bin|pt|sig|sha256)"
)
_OF_OTHERS: Final = re.compile(
    r"(?:.*[-_.])?(?:3rd|third|thirdparty|data|datasets?|code|deps|dependencies)(?:[-_.].*)?"
)
"""Words in the names of files with the licences of code, data and libraries."""


def is_license_file(name: str) -> bool:
    """Whether a file of this name holds the model's licence: ``LICENSE-MIT``, ``COPYING.txt``."""
    lower = name.lower()
    if not any(word in lower for word in _WORDS) or not _FILE.fullmatch(lower):
        return False
    return not _NO_TEXT.fullmatch(lower) and not _OF_OTHERS.fullmatch(lower)


def may_state_license(path: str) -> bool:
    """Whether a licence may be stated in a file of a model, so that one not read hides it."""
    name = path.rpartition("/")[2]
    lower = name.lower()
    return lower in ("readme.md", LICENSE_LAYER) or lower.endswith(".json") or is_license_file(name)
