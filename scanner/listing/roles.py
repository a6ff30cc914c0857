"""Classify files by name into the role that they have for a loader.

Signatures are named as by OpenSSF Model Signing, in-toto and sigstore; names of shards and indexes
are parsed in `scanner.listing.shards`. The other names are those that transformers,
diffusers, PEFT, sentence-transformers, mlx-lm and vLLM open; `scanner.loading` says in which order.
"""

import re
from functools import lru_cache
from typing import Final

from prefect_mutagen.parsers.detect import SUFFIXES, format_of
from prefect_mutagen.scanner.census import Role
from prefect_mutagen.scanner.content.license_files import is_license_file
from prefect_mutagen.scanner.content.oci import is_of_layout
from prefect_mutagen.scanner.content.ollama import is_of_store
from prefect_mutagen.scanner.content.read_limits import is_config_of_many
from prefect_mutagen.scanner.listing.evidence import is_checksums, unfinished_mark
from prefect_mutagen.scanner.listing.shards import index_stem
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, StoredObject

__all__ = [
    "APPLE_DOUBLE",
    "MARKS",
    "OMS_NAME",
    "PIPELINE_MARKS",
    "PROBED",
    "SIGNATURE_SUFFIXES",
    "TOOL_FOLDERS",
    "Role",
    "is_described_by",
    "is_relevant",
    "is_signature",
    "is_tool_mark",
    "role_of",
    "signed_name",
]

_MODEL_SUFFIXES: Final = tuple(SUFFIXES)
PIPELINE_MARKS: Final = ("model_index.json", "modular_model_index.json", "modules.json")
"""Names of files that describe a pipeline, whose parts are in folders below."""
MARKS: Final = ("README.md", *PIPELINE_MARKS)
"""Names of files that mark the root of a model."""
PROBED: Final = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "adapter_config.json",
    "hf_quant_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "audio_tokenizer_config.json",
    "special_tokens_map.json",
    "custom_generate/generate.py",
    "README.md",
    "LICENSE",
)
"""Names of files that are asked for one by one where a folder cannot be listed."""
APPLE_DOUBLE: Final = "._"
"""Prefix of the files that a Mac keeps beside others on storage of other systems."""
TOOL_FOLDERS: Final = frozenset({".no_exist", "__MACOSX"})
"""Folders of the hub's cache and of archivers, in which some files only bear models' names.

Whatever else lies there, or in ``.git``, a loader takes as from any folder.
"""

OMS_NAME: Final = "model.sig"
"""File name of a folder's signature in OpenSSF Model Signing."""
SIGNATURE_SUFFIXES: Final = (".intoto.jsonl", ".intoto.json", ".sigstore.json")

_ROLES: Final[dict[str, Role]] = {
    **dict.fromkeys(PIPELINE_MARKS, "pipeline"),
    "README.md": "card",
    "adapter_config.json": "adapter",
    **dict.fromkeys(
        (
            "config.json",
            "generation_config.json",
            "preprocessor_config.json",
            "video_preprocessor_config.json",
            "audio_tokenizer_config.json",
            "processor_config.json",
            "image_processor_config.json",
            "feature_extractor_config.json",
            "scheduler_config.json",
            "config_sentence_transformers.json",
            "router_config.json",
            "wordembedding_config.json",
            "hf_quant_config.json",
            "quantize_config.json",
            "params.json",
        ),
        "config",
    ),
    **dict.fromkeys(
        (
            "tokenizer_config.json",
            "tokenizer.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "vocab.json",
            "vocab.txt",
            "merges.txt",
            "spiece.model",
            "sentencepiece.bpe.model",
            "tokenizer.model",
            "tekken.json",
        ),
        "tokenizer",
    ),
    "chat_template.json": "template",
}
_DESCRIBING: Final = frozenset(
    {"config", "tokenizer", "template", "pipeline", "adapter", "card", "licence"}
)
_TOKENIZER_VERSION: Final = re.compile(r"tokenizer\.[\d.]+\.json")
"""A name for each version of the tokenizer's format."""
_USE_POLICY: Final = re.compile(r"(?:[\w-]+[-_.])?use[-_]policy(?:[-_.][\w.-]*)?", re.IGNORECASE)
_TEXT_SUFFIXES: Final = (".md", ".txt", ".rst", ".html")

_PICKLE: Final = re.compile(
    r".+\.(bin|pt|pth|pkl|pickle|ckpt|joblib|dill|t7|pdparams|npy|npz|ot)",
    re.IGNORECASE | re.DOTALL,
)
"""Names of files of pickles, and of arrays that may hold some."""
_OTHER_WEIGHTS: Final = re.compile(
    r".+\.(h5|hdf5|keras|nemo|msgpack|pt2|ptl|mar|onnx|onnx[._]data(_\d+)?|ort|pb|tflite|lite"
    r"|engine|trt|mlmodel|ggml|llamafile|caffemodel|params|pdmodel|pdiparams|mnn|ncnn|rten|axera"
    r"|xgb|ubj|cbm|mnnweight|rknn)"
    r"|openvino_\w+\.(xml|bin)|ggml-.+\.bin|.+\.data-\d{5}-of-\d{5}",
    re.IGNORECASE | re.DOTALL,
)
"""Names of weights in formats that are named, and of which some may run code, but whose contents
are not judged."""


def is_signature(name: str) -> bool:
    """Whether a file of this name may be a signature or an attestation."""
    return name == OMS_NAME or name.endswith(SIGNATURE_SUFFIXES)


def signed_name(name: str) -> str:
    """Return the model file that a signature is named after (``m.gguf.intoto.jsonl``).

    Args:
        name: Name of a signature or an attestation.

    Returns:
        The model's file name; empty if the signature may cover any file beside it.
    """
    for suffix in SIGNATURE_SUFFIXES:
        target = name.removesuffix(suffix)
        if target != name and target.lower().endswith((".gguf", ".safetensors")):
            return target
    return ""


def is_tool_mark(item: StoredObject, folders: frozenset[str]) -> bool:
    """Whether a file in tools' folders is a mark of theirs.

    The hub's cache marks what a repository lacks by empty files; an archive of a Mac holds a file
    of attributes for each file.
    """
    if "__MACOSX" in folders and item.name.startswith(APPLE_DOUBLE):
        return True
    return ".no_exist" in folders and item.size == 0 and item.fault is None


@lru_cache(maxsize=1 << 12)
def role_of(name: str) -> Role:
    """Return the role of a file by its name; ``other`` for files that no loader takes."""
    if name.endswith(_MODEL_SUFFIXES) or format_of(name) is not None:  # most are lower case
        return "weights"
    known = _ROLES.get(name)
    if known is not None:
        return known
    if name.startswith(APPLE_DOUBLE):
        return "other"
    if index_stem(name) is not None:
        return "index"
    if is_checksums(name):
        return "checksum"
    if is_signature(name):
        return "signature"
    if _OTHER_WEIGHTS.fullmatch(name):
        return "other-weights"
    if _PICKLE.fullmatch(name):
        return "pickle"
    return _by_form(name)


def _by_form(name: str) -> Role:
    """Return the role of a file whose name is one of many of a form."""
    lower = name.lower()
    if lower == "readme.md":
        return "card"
    if lower.endswith(".py"):
        return "code"
    if lower.endswith((".jinja", ".jinja2")):
        return "template"
    if is_config_of_many(lower):
        return "config"
    if _TOKENIZER_VERSION.fullmatch(lower):
        return "tokenizer"
    stem = lower
    for suffix in _TEXT_SUFFIXES:
        stem = stem.removesuffix(suffix)
    if is_license_file(name):
        return "licence"
    if _USE_POLICY.fullmatch(stem) and (stem != lower or "." not in lower):
        return "licence"
    return "other" if unfinished_mark(name) is None else "unfinished"


def is_described_by(role: Role) -> bool:
    """Whether a file of this role states something about the weights of its model."""
    return role in _DESCRIBING


def is_relevant(path: str, size: int = UNKNOWN_SIZE) -> bool:  # noqa: ARG001 - see `Wanted`
    """Whether a listing has to include a file, by its path."""
    return role_of(path.rpartition("/")[2]) != "other" or is_of_store(path) or is_of_layout(path)
