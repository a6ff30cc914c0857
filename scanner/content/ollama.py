"""Read the manifests of an Ollama store: which blobs form a model, and what each of them is.

A store holds ``manifests/HOST/NAMESPACE/NAME/TAG``, which are JSON, and ``blobs/sha256-HEX``. Read
as Ollama reads them (Go's ``encoding/json``): keys in any case, the last of two equal ones, nothing
behind the first value. Source: ollama 0.33.0-rc2, ``manifest/manifest.go``, ``manifest/paths.go``
and ``types/model/name.go``.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from prefect_mutagen.parsers.errors import shown

__all__ = [
    "CONFIG",
    "MANIFEST_LIMIT",
    "TENSORS",
    "TEXTS",
    "WEIGHTS",
    "BlobName",
    "Layer",
    "OllamaManifest",
    "blob_digest",
    "blob_name",
    "by_lower_case",
    "is_of_store",
    "manifest_of",
    "manifest_place",
    "read_manifest",
]

MANIFEST_LIMIT: Final = 16 << 20
"""Most bytes that are read of a manifest: about 70,000 layers."""

TENSORS: Final = "tensor"
"""Kind of the layers that are one model together: safetensors files of one or a few tensors."""
WEIGHTS: Final = ("model", "adapter", "projector", "draft")
"""Kinds of layers that are a weights file each."""

CONFIG: Final = "config"
"""Kind of the blob that a manifest names as its config."""
TEXTS: Final = (CONFIG, "template", "prompt", "system", "params", "messages", "license", "json")
"""Kinds of the other blobs that are opened; all others are passed over."""

_KIND: Final = "application/vnd.ollama.image."
_DIGEST: Final = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_PARTIAL: Final = "-partial"
_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"
_DOTTED_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_MANIFEST_PATH: Final = re.compile(
    r"(?P<store>.*/|)manifests/(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349})/"
    rf"(?P<namespace>{_PART})/(?P<name>{_DOTTED_PART})/(?P<tag>{_DOTTED_PART})",
    re.DOTALL,
)


class BlobName(NamedTuple):
    """What the file name of a blob states."""

    digest: str
    """SHA-256 in lower case."""
    kind: Literal["blob", "partial"]
    """Whether it is whole, or the mark of a download that is not finished."""


class Layer(NamedTuple):
    """A blob that a manifest names."""

    kind: str
    """Its media type without Ollama's prefix, such as ``model``; empty for a foreign type."""
    digest: str
    """SHA-256 in lower case."""
    size: int
    """Stated size in bytes; -1 if none is stated."""
    name: str = ""
    """Name of the tensor or the file, where a model has many."""


@dataclass(frozen=True, slots=True)
class OllamaManifest:
    """What a manifest names, as far as it can be read."""

    config: Layer | None = None
    layers: tuple[Layer, ...] = ()
    problem: str = ""
    """Why Ollama cannot load it, as a clause."""


def blob_digest(name: str) -> str:
    """Return the SHA-256 that a blob's name states (``sha256-HEX``, older ``sha256:HEX``).

    Args:
        name: A file name, or the digest in a manifest.

    Returns:
        The digest in lower case; empty for any other name.
    """
    match = _DIGEST.fullmatch(name)
    return match[1].lower() if match else ""


def blob_name(name: str) -> BlobName | None:
    """Parse the file name of a blob, also of an unfinished one (``sha256-HEX-partial``).

    Returns:
        What it states; None for any other name.
    """
    if not name.startswith("sha256"):
        return None
    stem, partial, _ = name.partition(_PARTIAL)
    digest = blob_digest(stem)
    return BlobName(digest, "partial" if partial else "blob") if digest else None


def is_of_store(path: str) -> bool:
    """Whether a path may be that of a blob or a manifest."""
    return blob_name(path.rpartition("/")[2]) is not None or manifest_place(path) is not None


def manifest_place(path: str) -> tuple[str, str] | None:
    """Split the path of a manifest.

    Returns:
        The store's folder, with a trailing slash, and the model's name as Ollama writes it
        (``HOST/NAMESPACE/NAME:TAG``); None if the path is not that of a manifest.
    """
    match = _MANIFEST_PATH.fullmatch(path) if "manifests/" in path else None
    if match is None:
        return None
    name = "{host}/{namespace}/{name}:{tag}".format(**match.groupdict())
    return match["store"], name


def read_manifest(raw: bytes) -> OllamaManifest:
    """Read a manifest; a problem is returned, never raised.

    Args:
        raw: Its bytes, all of them.
    """
    try:
        text = raw.decode("utf-8", "replace").lstrip(" \t\r\n")
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except RecursionError:
        return OllamaManifest(problem="it is nested too deeply")
    except json.JSONDecodeError as error:
        return OllamaManifest(problem=f"it is not JSON at character {error.pos}: {error.msg}")
    except ValueError:
        return OllamaManifest(problem="it has a number with thousands of digits")
    return manifest_of(value)


def manifest_of(value: Any) -> OllamaManifest:
    """Return what a manifest names; see `read_manifest`.

    Args:
        value: Its parsed JSON.
    """
    if not isinstance(value, Mapping):
        return OllamaManifest(problem="it is not a JSON object")
    manifest = by_lower_case(value)
    listed = manifest.get("layers")
    if not isinstance(listed, list | None):
        return OllamaManifest(problem="its layers are not a list")
    problems: list[str] = []
    config = _layer(manifest.get("config"), "the config", problems)
    if config is not None:
        config = config._replace(kind=CONFIG)  # whatever its media type says
    layers = [
        _layer(entry, f"layer {number}", problems) for number, entry in enumerate(listed or (), 1)
    ]
    problem = problems[0] if problems else ""
    return OllamaManifest(config, tuple(layer for layer in layers if layer is not None), problem)


def _layer(entry: Any, place: str, problems: list[str]) -> Layer | None:
    """Read one layer; None, and a problem, if Ollama could not open it."""
    if entry is None and place == "the config":
        return None
    if not isinstance(entry, Mapping):
        problems.append(f"{place} is not an object")
        return None
    entry = by_lower_case(entry)
    stated = entry.get("digest")
    if place == "the config" and stated in (None, ""):
        return None
    digest = blob_digest(stated) if isinstance(stated, str) else ""
    if not digest:
        problems.append(f"the digest of {place} is no SHA-256: {shown(str(stated)[:80])}")
        return None
    kind, size, name = (entry.get(key) for key in ("mediatype", "size", "name"))
    return Layer(
        kind.removeprefix(_KIND) if isinstance(kind, str) and kind.startswith(_KIND) else "",
        digest,
        size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else -1,
        name if isinstance(name, str) else "",
    )


def by_lower_case(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its keys in lower case: Go's ``encoding/json`` takes any case."""
    return {str(key).lower(): value for key, value in values.items()}
