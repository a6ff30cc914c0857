"""What transformers takes from a model, with PEFT and sentence-transformers on top of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from prefect_mutagen.scanner.loading.chat_templates import ADDITIONAL, LEGACY, RAW, chat_templates
from prefect_mutagen.scanner.loading.checkpoints import checkpoint, chosen_checkpoint
from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.peft import adapter
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles, Rule, merge_plans
from prefect_mutagen.scanner.loading.sentence_transformers import sentence_transformer

__all__ = ["RULES", "code_files", "component", "model_part", "plan", "processing_part"]

CONFIG = "config.json"
PROCESSOR_CONFIGS = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "audio_tokenizer_config.json",
)
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER = "tokenizer.json"
# Names of the classes' vocabulary files, and those that are looked for whatever the class.
VOCABULARIES = (
    "special_tokens_map.json",
    "added_tokens.json",
    "bpe.codes",
    "byte_maps.json",
    "dict.txt",
    "emoji.json",
    "entity_vocab.json",
    "merges.txt",
    "normalizer.json",
    "prophetnet.tokenizer",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "source.spm",
    "spiece.model",
    "spm.model",
    "spm_char.model",
    "target.spm",
    "target_vocab.json",
    "tekken.json",
    "tiktoken.model",
    "tokenizer.model",
    "vocab-src.json",
    "vocab-tgt.json",
    "vocab.json",
    "vocab.txt",
    "word_pronunciation.json",
    "word_shape.json",
)
CONFIGS_WITH_CODE = (CONFIG, TOKENIZER_CONFIG, *PROCESSOR_CONFIGS)
# Parts of a processor whose own config may stand in processor_config.json.
NESTED = ("image_processor", "video_processor", "feature_extractor", "audio_processor")
CUSTOM_GENERATE = "custom_generate/generate.py"
_REQUIREMENTS = "custom_generate/requirements.txt"

_MODULES = "transformers 5.24.0, dynamic_module_utils.py, "
RULES = (
    Rule(
        takes="`config.json`, and the `config.VERSION.json` that its `configuration_files` names "
        "for the installed version (a plan names all of them)",
        source="transformers 5.24.0, configuration_utils.py, PreTrainedConfig.get_config_dict and "
        "get_configuration_file",
    ),
    Rule(
        takes="`generation_config.json`",
        source="transformers 5.24.0, generation/utils.py, GenerationMixin.adjust_generation_fn",
    ),
    Rule(
        takes="`processor_config.json` (parts of it replace the next two), "
        "`preprocessor_config.json`, `video_preprocessor_config.json`, "
        "`audio_tokenizer_config.json`",
        source="transformers 5.24.0, processing_utils.py, ProcessorMixin.get_processor_dict; "
        "image_processing_base.py, get_image_processor_dict; video_processing_utils.py, "
        "get_video_processor_dict; feature_extraction_utils.py, get_feature_extractor_dict",
    ),
    Rule(
        takes="`tokenizer_config.json`, `tokenizer.json` or the version of it that "
        "`fast_tokenizer_files` names, `special_tokens_map.json`, `added_tokens.json`, and the "
        "vocabulary files of the class (`vocab.json`, `merges.txt`, `spiece.model`, …)",
        source="transformers 5.24.0, tokenization_utils_base.py, "
        "PreTrainedTokenizerBase.from_pretrained and get_fast_tokenizer_file",
    ),
    Rule(
        takes="`auto_map` of these configs (`module.Class`, `owner/repo--module.Class`, for "
        "tokenizers a list of slow and fast): runs `module.py` of the folder, under "
        "`trust_remote_code`; loaded as a subfolder, that of the folder above",
        source=f"{_MODULES}get_class_from_dynamic_module and get_cached_module_file",
    ),
    Rule(
        takes="`custom_generate/generate.py`, under `trust_remote_code`, with "
        "`custom_generate/requirements.txt`",
        source="transformers 5.24.0, generation/utils.py, GenerationMixin.load_custom_generate",
    ),
    Rule(
        takes="With `gguf_file=`, that one file, never the shards of a set: config and tokenizer "
        "come from its keys, but the tokenizer from `tokenizer.json` where that lies beside it",
        source="transformers 5.24.0, configuration_utils.py, PreTrainedConfig._get_config_dict; "
        "tokenization_utils_tokenizers.py, TokenizersBackend.__init__",
    ),
)


def plan(files: ModelFiles, weights: tuple[str, ...]) -> LoadPlan | None:
    """Return what transformers takes from a model; None if it takes no weights of it.

    Args:
        files: Files of the model, and the folder of the weights that are judged.
        weights: These weights; a GGUF among them is loaded as ``gguf_file=``.
    """
    folder = Folder.of(files, files.folder)
    root = folder.parent_with("modules.json")
    parts = []
    if root and (modules := sentence_transformer(root, component)):
        parts.append(modules)
    if not root or root.path == folder.path:
        parts.append(_model(folder, weights))
    taken = merge_plans("transformers", parts)
    indexed = any(name.endswith(".index.json") for name in taken.files)
    return taken if taken.weights or taken.missing or taken.outside or indexed else None


@lru_cache(maxsize=4)
def component(folder: Folder) -> LoadPlan:
    """Return what transformers takes from a folder that is a part of a model."""
    return _loaded(folder, checkpoint(folder))


def model_part(folder: Folder, variant: str = "") -> LoadPlan:
    """Return what a class of models takes from a folder: configs, weights, an adapter."""
    return _weights(folder, checkpoint(folder, variant))


@lru_cache(maxsize=4)
def processing_part(folder: Folder) -> LoadPlan:
    """Return what a tokenizer or a processor takes from a folder, templates included."""
    parts = (_processor(folder), _tokenizer(folder))
    return replace(merge_plans("transformers", parts), templates=chat_templates(folder))


def _model(folder: Folder, own: tuple[str, ...]) -> LoadPlan:
    ggufs = [name for name in own if name.lower().endswith(".gguf")]
    if len(ggufs) != 1:
        return _loaded(folder, chosen_checkpoint(folder, own))
    beside = LoadPlan(
        loader="transformers",
        weights=(ggufs[0],),
        files=folder.paths(TOKENIZER_CONFIG, TOKENIZER),
        templates=chat_templates(folder, gguf=ggufs[0]),
        variants=("",),
    )
    return merge_plans("transformers", (beside, adapter(folder) or LoadPlan("transformers")))


def _loaded(folder: Folder, base: LoadPlan) -> LoadPlan:
    """Everything that is taken from a folder beside these weights."""
    code = LoadPlan(
        loader="transformers",
        files=folder.paths(_REQUIREMENTS),
        code=code_files(folder) + folder.paths(CUSTOM_GENERATE),
    )
    parts = (_weights(folder, base), processing_part(folder), code)
    return merge_plans("transformers", parts)


def _weights(folder: Folder, base: LoadPlan) -> LoadPlan:
    parts = [_configs(folder)]
    lora = adapter(folder)
    if lora is None or folder.has(CONFIG):
        parts.append(base)
    if lora is not None:
        parts.append(lora)
    return merge_plans("transformers", parts)


def _configs(folder: Folder) -> LoadPlan:
    versions, outside = _versions(folder, CONFIG, "configuration_files")
    return LoadPlan(
        loader="transformers",
        files=(*folder.paths(CONFIG), *versions, *folder.paths("generation_config.json")),
        outside=outside,
    )


def _processor(folder: Folder) -> LoadPlan:
    return LoadPlan("transformers", files=folder.paths(*PROCESSOR_CONFIGS))


def _tokenizer(folder: Folder) -> LoadPlan:
    versions, outside = _versions(folder, TOKENIZER_CONFIG, "fast_tokenizer_files")
    additional = folder.names(ADDITIONAL)
    templates = (f"{ADDITIONAL}{name}" for name in additional if name.endswith(".jinja"))
    return LoadPlan(
        loader="transformers",
        files=(
            *folder.paths(TOKENIZER_CONFIG, TOKENIZER),
            *versions,
            *folder.paths(*VOCABULARIES, RAW, LEGACY, *templates),
        ),
        outside=outside,
    )


def _versions(folder: Folder, config: str, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files that are there for some version of the loader, and names that lead out of the root."""
    value = folder.document(config).get(key)
    names = [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
    paths = [(name, folder.join(name)) for name in names]
    inside = tuple(path for _, path in paths if path and path in folder.files.names)
    return inside, tuple(name for name, path in paths if path is None)


@lru_cache(maxsize=4)
def code_files(folder: Folder, configs: tuple[str, ...] = CONFIGS_WITH_CODE) -> tuple[str, ...]:
    """Return the Python files that configs name directly; what these import is followed elsewhere.

    Args:
        folder: Folder of the configs.
        configs: Names of the configs.
    """
    names = [f"{module}.py" for module in _modules(folder, configs)]
    places = (folder, folder.beneath("")) if folder.path else (folder,)
    paths = (place.join(name) for place in places for name in names)
    return tuple(dict.fromkeys(path for path in paths if path and path in folder.files.names))


def _modules(folder: Folder, configs: tuple[str, ...]) -> Iterator[str]:
    documents: list[Any] = [folder.document(name) for name in configs]
    if PROCESSOR_CONFIGS[0] in configs:
        versions, _ = _versions(folder, CONFIG, "configuration_files")
        documents += [folder.files.documents.get(path) for path in versions]
        processor = folder.document(PROCESSOR_CONFIGS[0])
        documents += [processor.get(name) for name in NESTED]
    for document in documents:
        named = document.get("auto_map") if isinstance(document, Mapping) else None
        for value in named.values() if isinstance(named, Mapping) else (named,):
            for reference in value if isinstance(value, list) else (value,):
                if isinstance(reference, str) and "--" not in reference:
                    yield reference.partition(".")[0]
