"""Classify files by name into the role that they have for a loader.

Shards are named as by llama.cpp (``%s-%05d-of-%05d.gguf``) and transformers. An index is
``NAME.safetensors.index.json``, with a variant before or after ``index``. Signatures are named as
by OpenSSF Model Signing, in-toto and sigstore.
"""

import re
from typing import Final, Literal, NamedTuple

from prefect_mutagen.parsers.detect import SUFFIXES, format_of

__all__ = [
    "CHECKSUMS",
    "NEIGHBOURS",
    "OMS_NAME",
    "SIGNATURE_SUFFIXES",
    "Role",
    "ShardName",
    "index_stem",
    "is_relevant",
    "is_signature",
    "role_of",
    "shard_name",
    "signed_name",
]

Role = Literal["model", "index", "neighbour", "checksums", "signature", "pickle"]

_MODEL_SUFFIXES: Final = tuple(SUFFIXES)
NEIGHBOURS: Final = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "adapter_config.json",
    "chat_template.jinja",
    "README.md",
)
"""Names of files that describe the models in their folder."""
CHECKSUMS: Final = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "checksums.sha256")
"""Names of files that list the SHA-256 of other files; ``NAME.sha256`` states that of one file."""

OMS_NAME: Final = "model.sig"
"""File name of a folder's signature in OpenSSF Model Signing."""
SIGNATURE_SUFFIXES: Final = (".intoto.jsonl", ".intoto.json", ".sigstore.json")

# A file name may contain line breaks.
_SHARD: Final = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<variant>\.\w+)?\.(gguf|safetensors)",
    re.IGNORECASE | re.DOTALL,
)
_SHARD_MARK: Final = "-of-"
_INDEX: Final = re.compile(
    r"(?P<stem>.+)\.safetensors\.index(?P<variant>\.[\w-]+)?\.json", re.DOTALL
)
# Extensions of weights that are pickles or may hold them, and of other formats that a loader may
# take instead and that are not read here.
_PICKLE: Final = re.compile(
    r".+\.(bin|pt|pth|pkl|pickle|ckpt|joblib|dill|t7|pdparams|npy|npz"
    r"|h5|hdf5|keras|nemo|msgpack|pt2|mar|onnx|pb|tflite|engine)",
    re.IGNORECASE | re.DOTALL,
)


class ShardName(NamedTuple):
    """Parts of a shard's file name."""

    stem: str
    """Name that all shards of the set share, without numbers."""
    number: int
    """Position in the set, from 1."""
    total: int
    """Number of shards in the set."""


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


def shard_name(name: str) -> ShardName | None:
    """Parse the name of a shard; None for any other name."""
    match = _SHARD.fullmatch(name) if _SHARD_MARK in name.lower() else None
    if match is None:
        return None
    stem = match["stem"] + (match["variant"] or "")
    return ShardName(stem, int(match["number"]), int(match["count"]))


def index_stem(name: str) -> str | None:
    """Return the stem of the shards that an index of this name maps; None if it is no index."""
    match = _INDEX.fullmatch(name)
    return None if match is None else match["stem"] + (match["variant"] or "")


def role_of(name: str) -> Role | None:
    """Return the role of a file by its name; None for files that are not examined."""
    if name.endswith(_MODEL_SUFFIXES) or format_of(name) is not None:  # most are lower case
        return "model"
    if name in NEIGHBOURS:
        return "neighbour"
    if _INDEX.fullmatch(name):
        return "index"
    if name in CHECKSUMS or name.endswith((".gguf.sha256", ".safetensors.sha256")):
        return "checksums"
    if is_signature(name):
        return "signature"
    return "pickle" if _PICKLE.fullmatch(name) else None


def is_relevant(name: str) -> bool:
    """Whether a listing has to include a file of this name."""
    return role_of(name) is not None
