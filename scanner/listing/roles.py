"""Classify files by name into the role that they have for a loader.

Signatures are named as by OpenSSF Model Signing, in-toto and sigstore; names of shards and indexes
are parsed in `scanner.listing.shards`.
"""

import re
from typing import Final, Literal

from prefect_mutagen.parsers.detect import SUFFIXES, format_of
from prefect_mutagen.scanner.listing.shards import index_stem

__all__ = [
    "CHECKSUMS",
    "NEIGHBOURS",
    "OMS_NAME",
    "SIGNATURE_SUFFIXES",
    "Role",
    "is_relevant",
    "is_signature",
    "role_of",
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

# Extensions of pickled weights, and the .bin files that are pickles.
_PICKLE: Final = re.compile(
    r".+\.(pt|pth|pkl|pickle|ckpt|joblib|dill)"
    r"|(pytorch_model|adapter_model|diffusion_pytorch_model|training_args|optimizer).*\.bin",
    re.IGNORECASE | re.DOTALL,
)


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


def role_of(name: str) -> Role | None:
    """Return the role of a file by its name; None for files that are not examined."""
    if name.endswith(_MODEL_SUFFIXES) or format_of(name) is not None:  # most are lower case
        return "model"
    if name in NEIGHBOURS:
        return "neighbour"
    if index_stem(name) is not None:
        return "index"
    if name in CHECKSUMS or name.endswith((".gguf.sha256", ".safetensors.sha256")):
        return "checksums"
    if is_signature(name):
        return "signature"
    return "pickle" if _PICKLE.fullmatch(name) else None


def is_relevant(name: str) -> bool:
    """Whether a listing has to include a file of this name."""
    return role_of(name) is not None
