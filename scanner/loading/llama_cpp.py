"""What llama.cpp takes: one GGUF file, or the shards that follow from the first one's name.

Its programs are told a file (``-m``), not a folder. A set of shards is opened by the name of its
first one, in the form of llama-gguf-split: five digits, lower case. Everything else of a model,
the tokenizer and the chat template included, is a key of the (first) file.
"""

import re
from collections.abc import Iterator
from typing import Final

from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles, Rule

__all__ = ["RULES", "plan"]

_LOADER: Final = "llama.cpp 0034764, src/llama-model-loader.cpp, "
RULES: Final = (
    Rule(
        takes="One GGUF file, whatever its name; the magic decides",
        source=f"{_LOADER}llama_model_loader",
    ),
    Rule(
        takes="The set `STEM-%05d-of-%05d.gguf` when the key `split.count` of the named file is "
        "above 1; the named file must be the first, and every shard has to be there",
        source=f"{_LOADER}llama_get_list_splits; src/llama.cpp, llama_split_prefix and "
        "llama_split_path",
    ),
    Rule(
        takes="All keys but `split.no` from the first shard",
        source=f"{_LOADER}llama_model_loader",
    ),
    Rule(
        takes="The chat template in the key `tokenizer.chat_template`, and "
        "`tokenizer.chat_template.tool_use` instead when a request has tools; rendered by "
        "llama.cpp's own Jinja engine. Without either, ChatML",
        source="llama.cpp 0034764, common/chat.cpp, common_chat_templates_init; "
        "src/llama-model.cpp, llama_model_chat_template",
    ),
    Rule(
        takes="Every key `tokenizer.chat_template.NAME`, when that chat format is asked for",
        source="llama-cpp-python 0.3, llama_cpp/llama.py, Llama.__init__",
    ),
    Rule(
        takes="A projector (`--mmproj`), adapters (`--lora`), a draft model and another template "
        "(`--chat-template-file`) only by option. `llama-server --models-dir` itself takes a file "
        "of the same folder with `mmproj` in its name as the projector, and one whose name begins "
        "with `mtp-`, `dspark-` or `dflash-` as the draft model",
        source="llama.cpp 0034764, common/preset.cpp, load_from_models_dir",
    ),
)

_TEMPLATE_KEY: Final = "tokenizer.chat_template"
_TOOLS_KEY: Final = f"{_TEMPLATE_KEY}.tool_use"
_SHARD: Final = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf", re.DOTALL)
_MOST_SHARDS: Final = 0xFFFF
"""split.count is a 16-bit number."""


def plan(files: ModelFiles, weights: tuple[str, ...]) -> LoadPlan | None:
    """Return what llama.cpp takes when it is told a GGUF file, or the first of a set.

    Args:
        files: The model's files. A GGUF file's keys may stand in ``documents`` under its path; if
            they do not, the default template's key is named without knowing that it is there.
        weights: The artifact's own files.

    Returns:
        The plan; None if there is no GGUF among the weights.
    """
    first = min((path for path in weights if path.lower().endswith(".gguf")), default=None)
    if first is None:
        return None
    opened = _shards(first) or (first,)
    found = set(weights) | set(files.names)
    return LoadPlan(
        "llama.cpp",
        tuple(path for path in opened if path in found),
        templates=tuple(f"{opened[0]}:{key}" for key in _template_keys(files, opened[0])),
        missing=tuple(path for path in opened if path not in found),
    )


def _shards(path: str) -> tuple[str, ...]:
    """Return the set that a shard's path belongs to; empty for any other path."""
    shard = _SHARD.fullmatch(path)
    if shard is None or not 1 < (total := int(shard["total"])) <= _MOST_SHARDS:
        return ()
    stem = shard["stem"]
    return tuple(f"{stem}-{number:05}-of-{total:05}.gguf" for number in range(1, total + 1))


def _template_keys(files: ModelFiles, path: str) -> Iterator[str]:
    keys = files.documents.get(path)
    if keys is None:
        yield _TEMPLATE_KEY
        return
    yield from (key for key in (_TEMPLATE_KEY, _TOOLS_KEY) if key in keys)
    named = f"{_TEMPLATE_KEY}."
    yield from sorted(
        key for key in keys if isinstance(key, str) and key.startswith(named) and key != _TOOLS_KEY
    )
