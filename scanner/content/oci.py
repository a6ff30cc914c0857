"""Read OCI image layouts that hold models: which blobs a manifest names, and what each is.

A layout is a folder with ``oci-layout``, ``index.json`` and ``blobs/sha256/HEX``; the store of
Docker Model Runner has ``manifests/sha256/HEX`` instead of an index. What a layer is, its media
type says; where that is a general one, the file name among its annotations.

Sources: OCI image-spec 1.1 (image-layout.md, descriptor.md); CNCF model-spec 0.0.7
(``mediatype.go``, ``annotations.go``); docker/model-spec 0.1; Ollama's and KitOps' media types.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from prefect_mutagen.scanner.content.ollama import by_lower_case

__all__ = [
    "DESCRIPTOR_LIMIT",
    "Descriptor",
    "OciDocument",
    "blob_in_layout",
    "is_of_layout",
    "kind_of",
    "layout_of",
    "read_document",
]

DESCRIPTOR_LIMIT: Final = 10_000
"""Most descriptors that are read of one document."""
_PATH: Final = re.compile(
    r"(?P<root>.*/|)(?:(?P<part>blobs|manifests)/sha256/(?P<digest>[0-9a-f]{64})"
    r"|(?P<name>index\.json|oci-layout))",
    re.DOTALL,
)
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_NAMES: Final = (
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
    "org.opencontainers.image.title",
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
)
_KINDS: Final = {
    "application/vnd.docker.ai.gguf.v3": "model",
    "application/vnd.docker.ai.gguf.v3.lora": "adapter",
    "application/vnd.docker.ai.gguf.lora": "adapter",
    "application/vnd.docker.ai.mmproj": "projector",
    "application/vnd.docker.ai.safetensors": "tensor",
    "application/vnd.docker.ai.license": "license",
    "application/vnd.docker.ai.chat.template.jinja": "jinja",
    "application/vnd.ollama.image.model": "model",
    "application/vnd.ollama.image.adapter": "adapter",
    "application/vnd.ollama.image.projector": "projector",
    "application/vnd.ollama.image.license": "license",
    "application/vnd.ollama.image.template": "template",
}
_WEIGHTS: Final = re.compile(
    r"application/vnd\.(?:cncf|cnai)\.model\.weight\.v1\.(?P<form>\w+)(?:\+\w+)?"
    r"|application/vnd\.kitops\.modelkit\.model(?:part)?\.v1\.(?P<kit>tar)(?:\+\w+)?"
)
_HARMLESS: Final = re.compile(r".+\.(?:md|txt|rst|pdf|png|jpe?g|gif|webp|svg)", re.DOTALL)
_PACKED: Final = re.compile(r"\btar\b|zip|zstd")
_SUFFIXES: Final = (
    (".gguf", "model"),
    (".safetensors", "tensor"),
    (".jinja", "jinja"),
    ((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".onnx"), "model"),
)


class Descriptor(NamedTuple):
    """What a document says of a blob."""

    media_type: str
    digest: str
    """SHA-256 in lower case; empty if it names none, or another kind of digest."""
    size: int
    """Stated size in bytes; -1 if none is stated."""
    name: str
    """File name, or name of the model, among its annotations; else empty."""


@dataclass(frozen=True, slots=True)
class OciDocument:
    """An index, or a manifest."""

    manifests: tuple[Descriptor, ...] = ()
    """What an index names."""
    layers: tuple[Descriptor, ...] = ()
    """What a manifest names."""
    is_manifest: bool = False
    problem: str = ""
    """Why it cannot be used, as a clause."""
    more: bool = False
    """Whether it has more descriptors than are read."""


class _Place(NamedTuple):
    root: str
    kind: str
    """``blob``, ``manifest``, ``index`` or ``mark``."""
    digest: str


def layout_of(path: str) -> _Place | None:
    """Return which layout a file may belong to by its path, and as what."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    if found["name"] is not None:
        return _Place(found["root"], "index" if found["name"] == "index.json" else "mark", "")
    return _Place(found["root"], found["part"].removesuffix("s"), found["digest"])


def blob_in_layout(path: str) -> str:
    """Return the SHA-256 that the path of a blob states; empty for another path."""
    place = layout_of(path)
    return place.digest if place is not None and place.kind == "blob" else ""


def is_of_layout(path: str) -> bool:
    """Whether a file may belong to a layout, by its path."""
    name = path.rpartition("/")[2]
    if name in ("index.json", "oci-layout"):
        return True
    return "/sha256/" in path and layout_of(path) is not None


def kind_of(layer: Descriptor) -> str:
    """Return what a layer is to who loads the model.

    Args:
        layer: Its descriptor.

    Returns:
        ``model``, ``adapter`` or ``projector`` for a file of weights, ``tensor`` for one of several
        that are a model together, ``license``, ``jinja`` or ``template`` for texts, ``archive`` for
        weights inside of an archive, ``unread`` for what a loader may take and nobody looks into,
        and the empty text for documents and pictures.
    """
    known = _KINDS.get(layer.media_type)
    if known is not None:
        return known
    weights = _WEIGHTS.fullmatch(layer.media_type)
    packed = weights is not None and "+" in layer.media_type
    if weights is not None and (packed or (weights["form"] or weights["kit"]) != "raw"):
        return "archive"
    name = layer.name.rpartition("/")[2].lower()
    for suffix, kind in _SUFFIXES:
        if name.endswith(suffix):
            return kind
    if name.startswith(("license", "licence")):
        return "license"
    if weights is not None:
        return "model"
    return "" if _HARMLESS.fullmatch(name) and not _PACKED.search(layer.media_type) else "unread"


def read_document(raw: bytes) -> OciDocument:
    """Read an index or a manifest; a problem is returned, never raised."""
    try:
        value = json.loads(raw)
    except RecursionError:
        return OciDocument(problem="it is nested too deeply")
    except ValueError:
        return OciDocument(problem="it is not JSON")
    if not isinstance(value, Mapping):
        return OciDocument(problem="it is not a JSON object")
    value = by_lower_case(value)
    manifests, layers = value.get("manifests"), value.get("layers")
    if isinstance(layers, list):
        found, problem = _descriptors(layers)
        more = len(layers) > DESCRIPTOR_LIMIT
        return OciDocument(layers=found, is_manifest=True, problem=problem, more=more)
    if isinstance(manifests, list):
        found, problem = _descriptors(manifests)
        return OciDocument(found, problem=problem, more=len(manifests) > DESCRIPTOR_LIMIT)
    return OciDocument(problem="it has neither manifests nor layers")


def _descriptors(entries: list[Any]) -> tuple[tuple[Descriptor, ...], str]:
    found: list[Descriptor] = []
    for number, given in enumerate(entries[:DESCRIPTOR_LIMIT], 1):
        if not isinstance(given, Mapping):
            return tuple(found), f"descriptor {number} is not an object"
        entry = by_lower_case(given)
        stated = entry.get("digest")
        match = _DIGEST.fullmatch(stated) if isinstance(stated, str) else None
        if match is None:
            return tuple(found), f"the digest of descriptor {number} is no SHA-256"
        annotations = entry.get("annotations")
        named = annotations if isinstance(annotations, Mapping) else {}
        names = [named[key] for key in _NAMES if isinstance(named.get(key), str)]
        size, media_type = entry.get("size"), entry.get("mediatype")
        found.append(
            Descriptor(
                media_type if isinstance(media_type, str) else "",
                match[1],
                size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else -1,
                names[0] if names else "",
            )
        )
    return tuple(found), ""
