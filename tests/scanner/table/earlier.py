"""The bucket that version 0.1.0 scanned into ``golden/table-s3-0.1``."""

import json

from tests.builders import STRING, gguf, safetensors, tensor
from tests.synthetic_contents import Written

__all__ = ["SOURCE", "bucket"]

SOURCE = "s3://models/all"
_CONFIG = json.dumps({"model_type": "llama", "max_position_embeddings": 4096}).encode()
_CARD = b"---\nlicense: apache-2.0\n---\n# A model\n"


def bucket() -> Written:
    """Return its objects; each has the tag and the time that it had then."""
    weights = safetensors({"a": tensor("F32", (2, 2), 0, 16)}, 16)
    shards = {
        f"all/set/model-0000{number}-of-00002.safetensors": safetensors(
            {f"t{number}": tensor("F32", (2, 2), 0, 16)}, 16
        )
        for number in (1, 2)
    }
    return Written(
        {
            "all/gguf/a.gguf": gguf((("general.architecture", STRING, "llama"),)).data,
            "all/gguf/b.gguf": gguf().data[:60],
            "all/hub/README.md": _CARD,
            "all/hub/config.json": _CONFIG,
            "all/hub/model.safetensors": weights,
            "all/hub/tokenizer.json": b"{}",
            "all/hub/tokenizer_config.json": b'{"chat_template": "{{ messages }}"}',
            "all/hub/pytorch_model.bin": b"\x80\x02}.",
            **shards,
        }
    )
