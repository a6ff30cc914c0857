"""Which files beside weights are read, and how far."""

import re
from types import MappingProxyType
from typing import Final

from prefect_mutagen.scanner.content.license_files import LICENSE_LIMIT, is_license_file

__all__ = ["LIMITS", "is_config_of_many", "read_limit"]

_CONFIG: Final = 4 << 20
LIMITS: Final = MappingProxyType(
    {
        "config.json": 8 << 20,
        "tokenizer_config.json": 16 << 20,
        **dict.fromkeys(
            (
                "generation_config.json",
                "adapter_config.json",
                "preprocessor_config.json",
                "video_preprocessor_config.json",
                "processor_config.json",
                "audio_tokenizer_config.json",
                "image_processor_config.json",
                "feature_extractor_config.json",
                "scheduler_config.json",
                "hf_quant_config.json",
                "model_index.json",
                "modular_model_index.json",
                "modules.json",
                "config_sentence_transformers.json",
                "router_config.json",
                "wordembedding_config.json",
                "chat_template.json",
                "special_tokens_map.json",
            ),
            _CONFIG,
        ),
        "chat_template.jinja": 1 << 20,
        "README.md": 1 << 18,
    }
)
"""Most bytes that are read of a file, by its name; of README.md only the front matter is used."""
_BY_FORM: Final = ((".jinja", 1 << 20), (".jinja2", 1 << 20), ("readme.md", 1 << 18))
# A config for each version of transformers, which `configuration_files` of config.json names; and
# sentence-transformers' config of a part, which is handed to transformers.
_OF_MANY: Final = re.compile(r"config\.[\d.]+\.json|sentence_[\w-]+_config\.json")


def is_config_of_many(name: str) -> bool:
    """Whether a file is a config under one of many names: of a version, or of a kind of model."""
    return _OF_MANY.fullmatch(name) is not None


def read_limit(name: str) -> int:
    """Return the most bytes that are read of a file of this name; 0: it is only pinned."""
    lower = name.lower()
    by_form = (limit for ending, limit in _BY_FORM if lower.endswith(ending))
    limit = LIMITS.get(name) or next(by_form, 0)
    if not limit and is_config_of_many(name):
        return _CONFIG
    return limit or (LICENSE_LIMIT if is_license_file(name) else 0)
