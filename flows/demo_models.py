"""Create a small bucket of good and broken models, following the format specifications.

Tensors have a valid layout and contain zeros, because only headers are examined.
"""

import json
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["write_bucket"]

_TEXT, _U32, _ARRAY = 8, 4, 9
_F32, _Q8_0, _Q4_K = 0, 8, 12
_BLOCKS = {_F32: (1, 4), _Q8_0: (32, 34), _Q4_K: (256, 144)}
_ALIGNMENT = 32


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    """Encode a metadata value with its type: a string, a number or a list of strings."""
    if isinstance(value, str):
        return struct.pack("<I", _TEXT) + _text(value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    items = b"".join(_text(item) for item in value)
    return struct.pack("<IIQ", _ARRAY, _TEXT, len(value)) + items


def gguf(metadata: Mapping[str, Any], tensors: Sequence[tuple[str, Sequence[int], int]]) -> bytes:
    """Return a GGUF file; tensors are given as name, dimensions and ggml type number."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_text(key) + _value(value) for key, value in metadata.items())
    end = 0
    for name, dims, kind in tensors:
        head += _text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, end)
        block, size = _BLOCKS[kind]
        count = 1
        for dim in dims:
            count *= dim
        end += -(-(count // block * size) // _ALIGNMENT) * _ALIGNMENT
    return head + bytes(-len(head) % _ALIGNMENT) + bytes(end)


def safetensors(header: Mapping[str, Any], data: int) -> bytes:
    """Return a safetensors file with this many bytes of data."""
    raw = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(data)


def _f16(shape: Sequence[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}


def write_bucket(folder: str) -> None:
    """Write the demo's bucket: nine models, four of them fit for an agent."""
    llama = {
        "general.architecture": "llama",
        "general.name": "Demo Llama",
        "general.license": "apache-2.0",
        "general.base_model.count": 1,
        "general.base_model.0.name": "Demo Base",
        "general.base_model.0.organization": "demo",
        "general.base_model.0.repo_url": "https://huggingface.co/demo/base",
        "llama.context_length": 4096,
        "tokenizer.chat_template": "{{ messages[0]['content'] }}",
        "tokenizer.ggml.tokens": [f"token{number}" for number in range(64)],
    }
    tensors = [("token_embd.weight", (64, 64), _Q8_0), ("output_norm.weight", (64,), _F32)]
    good = gguf({**llama, "general.file_type": 7}, tensors)
    packed = [("token_embd.weight", (256, 64), _Q4_K), ("output_norm.weight", (256,), _F32)]
    mistral = {
        "__metadata__": {"format": "pt"},
        "model.embed_tokens.weight": _f16((64, 32), 0, 4096),
        "lm_head.weight": _f16((64, 32), 4096, 8192),
    }
    adapter = {"lora_A.weight": _f16((8, 32), 0, 512), "lora_B.weight": _f16((32, 8), 512, 1024)}
    overlapping = {**mistral, "lm_head.weight": _f16((64, 32), 2048, 6144)}
    config = {
        "model_type": "mistral",
        "architectures": ["MistralForCausalLM"],
        "max_position_embeddings": 8192,
        "vocab_size": 64,
        "transformers_version": "4.57.0",
    }
    lora = {"peft_type": "LORA", "base_model_name_or_path": "demo/base"}
    card = b"---\nlicense: apache-2.0\nbase_model: demo/mistral-base\n---\n# Demo\n"
    page = b"<!DOCTYPE html>\n<html><body><h1>403 Forbidden</h1>Log in to download.</body></html>\n"
    files = {
        "llama/demo-llama-Q8_0.gguf": good,
        "llama/demo-llama-Q4_K_M.gguf": gguf({**llama, "general.file_type": 15}, packed),
        "mistral/model.safetensors": safetensors(mistral, 8192),
        "mistral/config.json": json.dumps(config).encode(),
        "mistral/README.md": card,
        "adapter/adapter_model.safetensors": safetensors(adapter, 1024),
        "adapter/adapter_config.json": json.dumps(lora).encode(),
        "broken/cut-download.gguf": good[: len(good) // 2],
        "broken/login-page.safetensors": page,
        "broken/overlapping.safetensors": safetensors(overlapping, 8192),
        "broken/called-Q8_0.gguf": gguf({**llama, "general.file_type": 7}, packed),
        "forbidden/research-only.gguf": gguf(
            {**llama, "general.file_type": 7, "general.license": "cc-by-nc-4.0"}, tensors
        ),
    }
    for name, data in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not _holds(path, data):
            with open(path, "wb") as file:
                file.write(data)


def _holds(path: str, data: bytes) -> bool:
    """Whether a file has this content; rewriting it would make it count as changed."""
    if not os.path.exists(path):
        return False
    with open(path, "rb") as file:
        return file.read() == data
