"""Build small Ollama stores."""

import hashlib
import json
from typing import Any

from tests.builders import STRING, gguf

__all__ = ["GOOD", "LIBRARY", "LICENSE", "LLAMA", "OTHER", "TEMPLATE", "Blobs", "blob_path"]

LLAMA = ("general.architecture", STRING, "llama")
GOOD = gguf().data
OTHER = gguf(tensors=[("b.weight", (32, 4), 0)]).data
TEMPLATE = b"{{ .Prompt }}"
LICENSE = (
    b"MIT License\n\nCopyright (c) somebody\n\nPermission is hereby granted, free of charge, to "
    b"any person obtaining a copy of this software to deal in it without restriction, including "
    b"without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, "
    b"and/or sell copies.\nThe above copyright notice and this permission notice shall be included "
    b"in all copies."
)
LIBRARY = "registry.ollama.ai/library"


class Blobs(dict[str, bytes]):
    """Files of a store by path; `layer` adds a blob and returns the layer that names it."""

    def layer(self, kind: str, data: bytes, separator: str = "-", **changes: Any) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        self[f"blobs/sha256{separator}{digest}"] = data
        media = f"application/vnd.ollama.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data), **changes}

    def model(self, name: str, *layers: dict[str, Any], config: Any = None) -> None:
        value = {"schemaVersion": 2, "config": config, "layers": layers}
        self[f"manifests/{name}"] = json.dumps(value).encode()


def blob_path(data: bytes) -> str:
    return f"blobs/sha256-{hashlib.sha256(data).hexdigest()}"
