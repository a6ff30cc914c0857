"""What a file is to a loader, as far as its name says.

Shards are named as llama.cpp (``%s-%05d-of-%05d.gguf``) and transformers name them; an index is
``NAME.safetensors.index.json``, with the variant before or behind its ``index``. Signatures are
named by OpenSSF Model Signing, in-toto and sigstore.
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

_MODELS: Final = tuple(SUFFIXES)
NEIGHBOURS: Final = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "adapter_config.json",
    "chat_template.jinja",
    "README.md",
)
"""Names of the files that say more about a model in their folder."""
CHECKSUMS: Final = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "checksums.sha256")
"""Names of files that list the SHA-256 of files beside them; so does ``NAME.sha256`` for one."""

OMS_NAME: Final = "model.sig"
"""What OpenSSF Model Signing calls the signature of a folder."""
SIGNATURE_SUFFIXES: Final = (".intoto.jsonl", ".intoto.json", ".sigstore.json")

# A name may hold anything, line ends too.
_SHARD: Final = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<variant>\.\w+)?\.(gguf|safetensors)",
    re.IGNORECASE | re.DOTALL,
)
_SHARD_MARK: Final = "-of-"
_INDEX: Final = re.compile(
    r"(?P<stem>.+)\.safetensors\.index(?P<variant>\.[\w-]+)?\.json", re.DOTALL
)
# What Python's pickle is called when it holds weights, and the .bin files that are one.
_PICKLE: Final = re.compile(
    r".+\.(pt|pth|pkl|pickle|ckpt|joblib|dill)"
    r"|(pytorch_model|adapter_model|diffusion_pytorch_model|training_args|optimizer).*\.bin",
    re.IGNORECASE | re.DOTALL,
)


class ShardName(NamedTuple):
    """What the name of a shard says."""

    stem: str
    """What all shards of the set are called, without numbers."""
    number: int
    """From 1."""
    total: int
    """Of shards."""


def is_signature(name: str) -> bool:
    """Whether a file of this name may be a signature or an attestation."""
    return name == OMS_NAME or name.endswith(SIGNATURE_SUFFIXES)


def signed_name(name: str) -> str:
    """Say after which model file a signature is named (``m.gguf.intoto.jsonl``).

    Args:
        name: Name of a signature or an attestation.

    Returns:
        The model's name; empty when it may speak of whatever lies beside it.
    """
    for suffix in SIGNATURE_SUFFIXES:
        target = name.removesuffix(suffix)
        if target != name and target.lower().endswith((".gguf", ".safetensors")):
            return target
    return ""


def shard_name(name: str) -> ShardName | None:
    """Read the name of a shard; None for any other name."""
    match = _SHARD.fullmatch(name) if _SHARD_MARK in name.lower() else None
    if match is None:
        return None
    stem = match["stem"] + (match["variant"] or "")
    return ShardName(stem, int(match["number"]), int(match["count"]))


def index_stem(name: str) -> str | None:
    """Say what the shards that an index of this name speaks for are called; None for no index."""
    match = _INDEX.fullmatch(name)
    return None if match is None else match["stem"] + (match["variant"] or "")


def role_of(name: str) -> Role | None:
    """Say what a file of this name is here; None for one that nobody looks at."""
    if name.endswith(_MODELS) or format_of(name) is not None:  # nearly all are in small letters
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
    """Say whether a listing has to show a file of this name."""
    return role_of(name) is not None
