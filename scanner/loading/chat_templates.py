"""Chat templates that transformers renders from a folder, the default one first."""

from typing import Any

from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import Rule

__all__ = ["ADDITIONAL", "LEGACY", "RAW", "RULES", "chat_templates"]

RAW = "chat_template.jinja"
LEGACY = "chat_template.json"
ADDITIONAL = "additional_chat_templates/"
_KEY = "chat_template"
# Configs in which a class of processors is named.
_PROCESSOR_CONFIGS = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
    "config.json",
)

_TOKENIZER = "transformers 5.24.0, tokenization_utils_base.py, "
_PROCESSOR = "transformers 5.24.0, processing_utils.py, "
RULES = (
    Rule(
        takes="Of a tokenizer: `chat_template` of `special_tokens_map.json` replaces all others, "
        "unless `tokenizer_config.json` has `added_tokens_decoder`",
        source=f"{_TOKENIZER}PreTrainedTokenizerBase._from_pretrained",
    ),
    Rule(
        takes="Else `additional_chat_templates/*.jinja` (`default.jinja` before "
        "`chat_template.jinja`) and `chat_template.jinja`, which replace what "
        "`tokenizer_config.json` says",
        source=f"{_TOKENIZER}PreTrainedTokenizerBase._from_pretrained",
    ),
    Rule(
        takes="Else `chat_template` of `tokenizer_config.json`: a text, an object of texts by "
        "name, or a list of `{name, template}`",
        source=f"{_TOKENIZER}PreTrainedTokenizerBase.__init__",
    ),
    Rule(
        takes="Of several, `tool_use` is rendered when tools are given, else `default`",
        source=f"{_TOKENIZER}PreTrainedTokenizerBase.get_chat_template",
    ),
    Rule(
        takes="Of a processor: `chat_template` of `processor_config.json` replaces all others",
        source=f"{_PROCESSOR}ProcessorMixin.get_processor_dict",
    ),
    Rule(
        takes="Else `chat_template` of `chat_template.json`, which replaces `chat_template.jinja`; "
        "where additional templates lie beside this file, a processor is refused",
        source=f"{_PROCESSOR}ProcessorMixin.get_processor_dict",
    ),
    Rule(
        takes="Else `chat_template.jinja` (before `default.jinja`) and "
        "`additional_chat_templates/*.jinja`; `default` is rendered",
        source=f"{_PROCESSOR}ProcessorMixin.get_processor_dict and _resolve_chat_template",
    ),
    Rule(
        takes="Of a GGUF that is loaded as `gguf_file=`, without a `tokenizer.json` beside it: the "
        "key `tokenizer.chat_template`, which replaces additional ones",
        source="transformers 5.24.0, tokenization_utils_tokenizers.py, TokenizersBackend.__init__",
    ),
)


def chat_templates(folder: Folder, gguf: str = "") -> tuple[str, ...]:
    """Return the places of the templates that are rendered, by default first.

    Args:
        folder: Folder that tokenizer and processor are loaded from.
        gguf: GGUF file below the model's root that the tokenizer is read from.
    """
    if gguf:
        alone = not folder.has("tokenizer.json")
        keys = (f"{gguf}:tokenizer.{_KEY}",) if alone else ()
        return keys + _additional(folder)
    tokenizer, processor = _of_tokenizer(folder), _of_processor(folder)
    if any(folder.document(name).get("processor_class") for name in _PROCESSOR_CONFIGS):
        return tuple(dict.fromkeys(processor + tokenizer))
    return tuple(dict.fromkeys(tokenizer + processor))


def _of_tokenizer(folder: Folder) -> tuple[str, ...]:
    config = folder.document("tokenizer_config.json")
    if "added_tokens_decoder" not in config:
        name = "special_tokens_map.json"
        if keys := _keys(folder.path + name, folder.document(name)):
            return keys
    additional, raw = _additional(folder), folder.paths(RAW)
    if additional or raw:
        own_default = tuple(path for path in additional if path.endswith("/default.jinja"))
        return tuple(dict.fromkeys(own_default or raw)) + tuple(
            path for path in additional if path not in own_default
        )
    return _keys(folder.path + "tokenizer_config.json", config)


def _of_processor(folder: Folder) -> tuple[str, ...]:
    additional = _additional(folder)
    if folder.has(LEGACY) and additional:
        return ()
    name = "processor_config.json"
    if keys := _keys(folder.path + name, folder.document(name)):
        return keys
    if folder.has(LEGACY):
        # An object with this key, or the loader fails.
        return _keys(folder.path + LEGACY, {_KEY: "", **folder.document(LEGACY)})
    if raw := folder.paths(RAW):
        additional = tuple(path for path in additional if not path.endswith("/default.jinja"))
        return raw + additional
    return tuple(sorted(additional, key=lambda path: not path.endswith("/default.jinja")))


def _additional(folder: Folder) -> tuple[str, ...]:
    names = folder.names(ADDITIONAL)
    return tuple(f"{folder.path}{ADDITIONAL}{name}" for name in names if name.endswith(".jinja"))


def _keys(path: str, document: Any) -> tuple[str, ...]:
    """The places of the texts under the key ``chat_template``, the default one first."""
    value = document.get(_KEY)
    if isinstance(value, list):
        entries = (entry for entry in value if isinstance(entry, dict))
        names = [name for entry in entries if isinstance(name := entry.get("name"), str)]
    elif isinstance(value, dict):
        names = [name for name in value if isinstance(name, str)]
    else:
        return () if value is None else (f"{path}:{_KEY}",)
    ordered = sorted(dict.fromkeys(names), key=lambda name: name != "default")
    return tuple(f"{path}:{_KEY}.{name}" for name in ordered)
