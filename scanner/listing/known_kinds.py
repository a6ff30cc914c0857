"""Kinds of files that are no part of a model and that are known by their names.

What is listed here is known, what is not is not understood: a census counts the two apart, and a
signed folder may not hold what is on no list unless it is signed.
"""

import re
from typing import Final

from prefect_mutagen.scanner.content.oci import is_of_layout
from prefect_mutagen.scanner.content.ollama import is_of_store

__all__ = ["is_harmless", "is_known"]

_TEXTS: Final = "txt|md|rst|pdf|csv|tsv|log|bib|cff|tex|json|jsonl|ndjson|yaml|yml|toml"
_MEDIA: Final = (
    "png|jpg|jpeg|gif|webp|bmp|tif|tiff|ico|heic|avif|wav|flac|mp3|ogg|opus|m4a|mp4|webm|mov|mkv"
)
_DATA: Final = "parquet|arrow|vocab|sha256|sha512|md5|asc|sig|crt|imatrix|metadata|lock"
_HARMLESS: Final = re.compile(
    rf".+\.(?:{_TEXTS}|{_MEDIA}|{_DATA})"
    r"|\.git(?:attributes|ignore|keep|modules)|\.gitkeep|\.ds_store|thumbs\.db|desktop\.ini|cachedir\.tag"
    r"|(?:readme|changelog|changes|authors|contributors|codeowners|citation|credits|version|news"
    r"|notice|copying|copyright|patents)(?:[-_]\w+)?"
    r"|events\.out\.tfevents\.[\w.-]+\.\d+",
    re.IGNORECASE | re.DOTALL,
)
_SOURCES: Final = "sh|bash|zsh|bat|cmd|ps1|c|cc|cpp|cxx|h|hpp|cu|rs|go|java|js|mjs|ts|rb|jl|lua|pyi"
_PAGES: Final = (
    "ipynb|html|htm|css|svg|xml|ini|cfg|conf|env|properties|sql|proto|pbtxt|patch|diff|lst"
)
_OFFICE: Final = "docx?|xlsx?|pptx?|odt|ods|odp|rtf|epub|srt|vtt"
_TOKENS: Final = "tiktoken|bpe|model|spm|merges|dict|tok"
_RUNS: Final = "out|err|pid|bak|orig|swp|feather|avro|orc"
_KNOWN: Final = re.compile(
    rf".+\.(?:{_SOURCES}|{_PAGES}|{_OFFICE}|{_TOKENS}|{_RUNS})"
    r"|(?:makefile|dockerfile|modelfile|jenkinsfile|procfile)(?:\..+)?"
    r"|\.(?:\w+ignore|env|editorconfig|pylintrc|flake8|npmrc|dockerignore|prettierrc)"
    r"|_success|\._.+|oci-layout",
    re.IGNORECASE | re.DOTALL,
)
_OF_CACHE: Final = re.compile(
    r"(?:.*/)?(?:models|datasets|spaces)--[^/]+/"
    r"(?:blobs/[0-9a-f]{40,64}|refs/.+|\.no_exist/.+|snapshots/[^/]+/\.gitattributes)",
    re.DOTALL,
)
"""Files of a hub's cache under names that say nothing: blobs, which its snapshots link to, and
names of revisions."""


def is_harmless(name: str) -> bool:
    """Whether files of this name are not run, loaded as a library, or unpickled by anything."""
    return _HARMLESS.fullmatch(name) is not None


def is_known(path: str) -> bool:
    """Whether a file that no loader takes is of a kind that its name tells.

    Args:
        path: Its path, with slashes.
    """
    name = path.rpartition("/")[2]
    if _HARMLESS.fullmatch(name) is not None or _KNOWN.fullmatch(name) is not None:
        return True
    return is_of_store(path) or is_of_layout(path) or _OF_CACHE.fullmatch(path) is not None
