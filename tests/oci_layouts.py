"""Write OCI image layouts that hold models."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
GGUF = "application/vnd.docker.ai.gguf.v3"
RAW = "application/vnd.cncf.model.weight.v1.raw"
TAR = "application/vnd.cncf.model.weight.v1.tar+gzip"
SAFETENSORS = "application/vnd.docker.ai.safetensors"
LICENSE = "application/vnd.docker.ai.license"
JINJA = "application/vnd.docker.ai.chat.template.jinja"
FILE = "org.cncf.model.filepath"


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def descriptor(media_type: str, data: bytes, **annotations: str) -> dict[str, Any]:
    """Describe a blob; two underscores in the names of annotations stand for a dot."""
    named = {key.replace("__", "."): value for key, value in annotations.items()}
    found = {"mediaType": media_type, "digest": f"sha256:{digest_of(data)}", "size": len(data)}
    return found | ({"annotations": named} if named else {})


def manifest(layers: Sequence[Mapping[str, Any]]) -> bytes:
    """Write a manifest of some layers."""
    config = descriptor("application/vnd.docker.ai.model.config.v0.1+json", b"{}")
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": list(layers)}
    ).encode()


def layout(
    models: Mapping[str, bytes], blobs: Sequence[bytes] = (), *, docker: bool = False
) -> dict[str, bytes]:
    """Return the files of a layout.

    Args:
        models: Manifests by the name of the model.
        blobs: The other blobs.
        docker: Whether it is a store of Docker Model Runner, without an index.
    """
    files = {f"blobs/sha256/{digest_of(data)}": data for data in blobs}
    if docker:
        manifests = {f"manifests/sha256/{digest_of(data)}": data for data in models.values()}
        return files | manifests | {"layout.json": b'{"version": "1.0.0"}'}
    files |= {f"blobs/sha256/{digest_of(data)}": data for data in models.values()}
    entries = [
        descriptor(MANIFEST, data, org__opencontainers__image__ref__name=name)
        for name, data in models.items()
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return files | {
        "index.json": json.dumps(index).encode(),
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
    }
