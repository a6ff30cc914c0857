"""What vLLM takes from a folder (formats ``auto`` and ``sharded_state``), and GGUF by plugin."""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final

from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles, Rule
from prefect_mutagen.scanner.loading.transformers import component

__all__ = ["RULES", "plan"]

_LOADER: Final = "vLLM 0.33.0, model_executor/model_loader/"
_PREPARE: Final = f"{_LOADER}default_loader.py, DefaultModelLoader._prepare_weights"
_PLUGIN: Final = "vllm-gguf-plugin 0.0.5, "
RULES: Final = (
    Rule(
        takes="If a file `consolidated*.safetensors` lies in the folder or anywhere below it, only "
        "those of the folder itself; files of other names are not loaded, and without one in the "
        "folder it fails",
        source=f"{_PREPARE}; transformers_utils/repo_utils.py, list_filtered_repo_files",
    ),
    Rule(
        takes="Else the first of `*.safetensors`, `*.bin`, `*.pt` that matches files directly in "
        "the folder, all of them: pickles only where no safetensors is",
        source=_PREPARE,
    ),
    Rule(
        takes="Of safetensors, with `model.safetensors.index.json` (`consolidated.safetensors."
        "index.json`) in the folder, only those that `weight_map` names, compared as text: `./x` "
        "and `sub/x` count as missing, and with one missing it fails",
        source=f"{_LOADER}weight_utils.py, filter_duplicate_safetensors_files",
    ),
    Rule(
        takes="Of pickles, none whose name ends in `training_args.bin`, `optimizer.bin`, "
        "`optimizer.pt`, `scheduler.pt` or `scaler.pt`; opened with `weights_only=True`",
        source=f"{_LOADER}weight_utils.py, filter_files_not_needed_for_inference and "
        "pt_weights_iterator",
    ),
    Rule(
        takes="With `load_format=sharded_state`, for each rank all "
        "`model-rank-RANK-part-PART.safetensors`, with pipeline parallelism "
        "`model-pp-RANK-tp-RANK-part-PART.safetensors`; every rank that runs needs its own",
        source=f"{_LOADER}sharded_state_loader.py, ShardedStateLoader.load_weights",
    ),
    Rule(
        takes="`params.json` beside `consolidated*.safetensors`, then `config.json` for what it "
        "lacks; else `config.json`. Without one it fails",
        source="vLLM 0.33.0, transformers_utils/config.py, get_config and MistralConfigParser",
    ),
    Rule(
        takes="`hf_quant_config.json`, if the config has no `quantization_config`",
        source="vLLM 0.33.0, transformers_utils/config.py, get_config",
    ),
    Rule(
        takes="`tekken.json` or `tokenizer.model.v*` where `consolidated*.safetensors` is too: "
        "then mistral-common formats messages, and no template is rendered",
        source="vLLM 0.33.0, tokenizers/registry.py, resolve_tokenizer_args",
    ),
    Rule(
        takes="Else tokenizer, processor, `auto_map` code and chat template as transformers takes "
        "them, the processor's template first; `--chat-template` replaces it",
        source="vLLM 0.33.0, renderers/hf.py, resolve_chat_template",
    ),
    Rule(
        takes="`modules.json`, the pooling config that it names, "
        "`config_sentence_transformers.json` and `sentence_*_config.json`",
        source="vLLM 0.33.0, transformers_utils/config.py, get_pooling_config and "
        "get_sentence_transformer_tokenizer_config",
    ),
    Rule(
        takes="Of an adapter (`--lora-modules`): `adapter_config.json`, and the first of "
        "`adapter_model.safetensors`, `adapter_model.bin`, `adapter_model.pt`",
        source="vLLM 0.33.0, lora/lora_model.py, LoRAModel.from_local_checkpoint; "
        "lora/peft_helper.py, PEFTHelper.from_local_dir",
    ),
    Rule(
        takes="A GGUF file by plugin only, with those shards of `-N-of-N.gguf` that are there (any "
        "digits; a missing one is passed over), and for a multimodal model the `mmproj` file of "
        "its folder; config and tokenizer from the folder where they lie in it",
        source=f"{_PLUGIN}loader.py, GGUFModelLoader._prepare_weights; weights_adapter/default.py, "
        "_get_all_gguf_files; gguf_utils.py, detect_gguf_multimodal; config_parser.py",
    ),
)

_CONFIG: Final = "config.json"
_PARAMS: Final = "params.json"
_INDEX: Final = "model.safetensors.index.json"
_CONSOLIDATED: Final = "consolidated*.safetensors"
_CONSOLIDATED_INDEX: Final = "consolidated.safetensors.index.json"
_MISTRAL_TOKENIZERS: Final = ("tekken.json", "tokenizer.model.v*")
_NOT_WEIGHTS: Final = (
    "training_args.bin",
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
)
_SENTENCES: Final = (
    "modules.json",
    "config_sentence_transformers.json",
    *(
        f"sentence_{kind}_config.json"
        for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
)
_ADAPTERS: Final = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")
_RANK: Final = re.compile(r"model-rank-([0-9]{1,9})-part-([0-9]{1,9})\.safetensors")
_PIPELINE_RANK: Final = re.compile(
    r"model-pp-([0-9]{1,9})-tp-([0-9]{1,9})-part-([0-9]{1,9})\.safetensors"
)
_GGUF_SHARD: Final = re.compile(r"(.*-)([0-9]+)-of-([0-9]+)\.gguf", re.DOTALL)
_MOST_MISSING: Final = 1000
"""Absent files that a plan names; the numbers in file names may be anything."""


def plan(files: ModelFiles, weights: tuple[str, ...]) -> LoadPlan | None:
    """Return what vLLM takes from the folder of some weights, or with a GGUF file.

    Args:
        files: Files of the model, and the folder of the weights that are judged.
        weights: These weights. If they are the files of ranks, ``sharded_state`` is meant.

    Returns:
        The plan; None if there is nothing that it loads.
    """
    folder = Folder.of(files, files.folder)
    ggufs = [path for path in weights if path.lower().endswith(".gguf")]
    if ggufs:
        return _gguf(folder, min(ggufs))
    own = [path.removeprefix(folder.path) for path in weights]
    if any(_RANK.fullmatch(name) or _PIPELINE_RANK.fullmatch(name) for name in own):
        return _with_configs(folder, *_ranks(folder))
    if folder.has(_CONFIG) or (folder.has(_PARAMS) and _is_mistral(folder)):
        chosen, index, missing = _weights(folder)
        if chosen or missing:
            return _with_configs(folder, chosen, missing, index)
        return None
    return _adapter(folder)


def _weights(folder: Folder) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """Return the weights of the load format ``auto``, the index that is read, what is missing."""
    if _is_mistral(folder):
        found = _matching(folder, _CONSOLIDATED)
        if not found:
            return (), "", (f"{folder.path}consolidated.safetensors",)
        return _indexed(folder, found, _CONSOLIDATED_INDEX)
    if found := _matching(folder, "*.safetensors"):
        return _indexed(folder, found, _INDEX)
    for pattern in ("*.bin", "*.pt"):
        if found := _matching(folder, pattern):
            # Nothing else is looked for if all of them are left out.
            return tuple(path for path in found if not path.endswith(_NOT_WEIGHTS)), "", ()
    return (), "", ()


def _indexed(
    folder: Folder, found: tuple[str, ...], index: str
) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    if not folder.has(index):
        return found, "", ()
    named = folder.document(index).get("weight_map")
    if not isinstance(named, Mapping):
        return found, index, ()  # not read, or invalid: it is not guessed what it names
    wanted = {folder.path + name for name in named.values() if isinstance(name, str)}
    missing = _in_order(wanted.difference(found))
    return tuple(path for path in found if path in wanted), index, missing


def _ranks(folder: Folder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files of all ranks, and those that are missing between them."""
    names = folder.names()
    plain = {(0, int(found[1]), int(found[2])) for found in map(_RANK.fullmatch, names) if found}
    staged = {
        (int(found[1]), int(found[2]), int(found[3]))
        for found in map(_PIPELINE_RANK.fullmatch, names)
        if found
    }
    formats = (
        (plain, "model-rank-{1}-part-{2}.safetensors"),
        (staged, "model-pp-{0}-tp-{1}-part-{2}.safetensors"),
    )
    chosen = [name for name in names if _RANK.fullmatch(name) or _PIPELINE_RANK.fullmatch(name)]
    missing = (
        folder.path + form.format(*numbers)
        for found, form in formats
        for numbers in islice(_gaps(found), _MOST_MISSING)
    )
    return _in_order(folder.path + name for name in chosen), tuple(missing)


def _gaps(found: set[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield the ranks below the highest ones without a file, and the parts that are left out."""
    if not found:
        return
    last_part: dict[tuple[int, int], int] = {}
    for stage, rank, part in found:
        last_part[stage, rank] = max(part, last_part.get((stage, rank), 0))
    stages = max(stage for stage, _, _ in found) + 1
    ranks = max(rank for _, rank, _ in found) + 1
    # Not `product`, which holds all numbers.
    for stage, rank in ((stage, rank) for stage in range(stages) for rank in range(ranks)):
        for part in range(last_part.get((stage, rank), 0) + 1):
            if (stage, rank, part) not in found:
                yield stage, rank, part


def _with_configs(
    folder: Folder, weights: tuple[str, ...], missing: tuple[str, ...], index: str = ""
) -> LoadPlan:
    """Add configs, tokenizer, templates and code to the weights of a folder."""
    beside = component(folder)
    is_mistral = _is_mistral(folder)
    configs = folder.paths(*((_PARAMS,) if is_mistral else ()), _CONFIG)
    quantization = "hf_quant_config.json"
    stated = "quantization_config" in folder.document(_CONFIG)
    tokenizers = [name for kind in _MISTRAL_TOKENIZERS for name in _matching(folder, kind)]
    by_mistral = is_mistral and any(
        fnmatchcase(name, kind) for name in _all_names(folder) for kind in _MISTRAL_TOKENIZERS
    )
    files = (
        *((folder.path + index,) if index else ()),
        *configs,
        *(() if stated else folder.paths(quantization)),
        *(tokenizers if by_mistral else ()),
        *(path for path in beside.files if not path.endswith(".index.json")),
        *folder.paths(*_SENTENCES),
        *_pooling(folder),
    )
    no_config = () if configs else (folder.path + _CONFIG,)
    return LoadPlan(
        "vllm",
        weights,
        tuple(dict.fromkeys(files)),
        () if by_mistral else beside.templates,
        beside.code,
        (*no_config, *missing),
    )


def _adapter(folder: Folder) -> LoadPlan | None:
    config, found = folder.paths("adapter_config.json"), folder.paths(*_ADAPTERS)
    return LoadPlan("vllm", found[:1], config) if config and found else None


def _gguf(folder: Folder, first: str) -> LoadPlan:
    shard = _GGUF_SHARD.fullmatch(first)
    weights: tuple[str, ...] = (first,)
    if shard is not None:
        stem, number, total = shard.groups()
        others = (_GGUF_SHARD.fullmatch(path) for path in folder.files.names)
        numbers = {
            int(other[2]): other[0]
            for other in others
            if other and (other[1], other[3], len(other[2])) == (stem, total, len(number))
        }
        weights = tuple(numbers[key] for key in sorted(numbers)) or weights
    beside = component(folder)
    files = (path for path in beside.files if not path.endswith(".index.json"))
    templates = beside.templates or (f"{weights[0]}:tokenizer.chat_template",)
    return LoadPlan("vllm", weights, tuple(files), templates, beside.code)


def _pooling(folder: Folder) -> Iterator[str]:
    modules = folder.files.documents.get(f"{folder.path}modules.json")
    for module in modules if isinstance(modules, list) else ():
        path = module.get("path") if isinstance(module, Mapping) else None
        if isinstance(path, str) and (config := folder.join(f"{path}/{_CONFIG}")):
            yield from (config,) if config in folder.files.names else ()


def _is_mistral(folder: Folder) -> bool:
    """Whether weights in Mistral's own format lie in the folder, or anywhere below it."""
    return any(fnmatchcase(name, _CONSOLIDATED) for name in _all_names(folder))


def _all_names(folder: Folder) -> Iterator[str]:
    """Yield the last parts of all paths below a folder."""
    for path, names in folder.listing.items():
        if path.startswith(folder.path):
            yield from names


def _matching(folder: Folder, pattern: str) -> tuple[str, ...]:
    """Return the files directly in a folder that match, as Python's glob finds them."""
    names = (name for name in folder.names() if not name.startswith("."))
    return _in_order(folder.path + name for name in names if fnmatchcase(name, pattern))


def _in_order(paths: Iterable[str]) -> tuple[str, ...]:
    """Sort paths by the numbers in their names, as vLLM does before it opens them."""

    def parts(path: str) -> list[tuple[int, str]]:
        pieces = re.split(r"([0-9]+)", path.rpartition("/")[2])
        # Numbers as texts without leading zeros: a name in a document may have thousands of digits.
        for place in range(1, len(pieces), 2):
            pieces[place] = pieces[place].lstrip("0")
        return [(len(one) if place % 2 else 0, one) for place, one in enumerate(pieces)]

    return tuple(sorted(sorted(paths), key=parts))
