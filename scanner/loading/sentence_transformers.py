"""What sentence-transformers takes from a folder with a ``modules.json``: its parts, one by one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import LoadPlan, Rule, merge_plans

__all__ = ["MODULES", "RULES", "sentence_transformer"]

MODULES = "modules.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# Classes of sentence_transformers by what they load.
TRANSFORMERS = frozenset({"Transformer", "MLMTransformer", "CLIPModel"})
WITH_WEIGHTS = frozenset(
    {
        "CNN",
        "Dense",
        "LSTM",
        "LayerNorm",
        "SparseAutoEncoder",
        "SparseStaticEmbedding",
        "StaticEmbedding",
        "WeightedLayerPooling",
        "WordEmbeddings",
    }
)
WITH_TOKENIZER = frozenset({"SparseStaticEmbedding", "StaticEmbedding", "WordEmbeddings"})
ROUTERS = frozenset({"Asym", "Router"})

_ROOT_FILES = ("config_sentence_transformers.json", "README.md", MODULES)
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_PART_CONFIGS = (
    "config.json",
    "router_config.json",
    "cnn_config.json",
    "lstm_config.json",
    "wordembedding_config.json",
    "whitespacetokenizer_config.json",
    "phrasetokenizer_config.json",
    "idf.json",
)
# Weights for another backend; the default one is not what such a folder is loaded with.
_BACKENDS = ("onnx", "openvino")
_MODEL = "sentence-transformers 6.2.0, base/model.py, BaseModel."
RULES = (
    Rule(
        takes="`config_sentence_transformers.json`, the text of `README.md`, and `modules.json`, a "
        "list of `{idx, name, path, type}`: each `path` is a part, loaded in this order; absolute "
        "paths and `..` are refused",
        source=f"{_MODEL}_load_config_modules; util/file_io.py, _validate_relative_path",
    ),
    Rule(
        takes="A part of type `Transformer`, `MLMTransformer` or `CLIPModel`: the first "
        "`sentence_*_config.json` that says something, and what transformers takes from its folder",
        source="sentence-transformers 6.2.0, base/modules/transformer.py, Transformer.load_config",
    ),
    Rule(
        takes="A part with parameters (`Dense`, `LSTM`, `CNN`, `LayerNorm`, `StaticEmbedding`, …): "
        "its config, and `model.safetensors`, else the pickle `pytorch_model.bin`; without either "
        "it fails. `Pooling`, `Normalize` and the like have a config only",
        source="sentence-transformers 6.2.0, base/modules/module.py, Module.load_torch_weights",
    ),
    Rule(
        takes="A part of type `Router` (`Asym`): the parts that `types` of `router_config.json`, "
        "else of `config.json`, names below its folder",
        source="sentence-transformers 6.2.0, base/modules/router.py, Router.load",
    ),
    Rule(
        takes="A type that does not begin with `sentence_transformers.`: the class of `module.py` "
        "in the root (under `trust_remote_code`), else of an installed package of that name",
        source="sentence-transformers 6.2.0, util/misc.py, import_module_class",
    ),
    Rule(
        takes="Without `modules.json`: a model of transformers",
        source=f"{_MODEL}_load_modules",
    ),
)


def sentence_transformer(
    root: Folder, transformer: Callable[[Folder], LoadPlan]
) -> LoadPlan | None:
    """Return what is taken from a folder with a ``modules.json``; None if there is none.

    Args:
        root: Folder that is loaded.
        transformer: What transformers takes from the folder of a part.
    """
    if not root.has(MODULES):
        return None
    plans = [LoadPlan("transformers", files=root.paths(*_ROOT_FILES))]
    modules = root.files.documents.get(root.path + MODULES)
    entries = modules if isinstance(modules, list) else ()
    parts = [entry for entry in entries if isinstance(entry, Mapping)]
    waiting = [(entry.get("type"), entry.get("path")) for entry in reversed(parts)]
    seen = set()
    while waiting:
        part = waiting.pop()
        kind, path = part
        if not (isinstance(kind, str) and isinstance(path, str)) or part in seen:
            continue
        seen.add(part)
        folder = _folder(root, path)
        if folder is None:
            plans.append(LoadPlan("transformers", outside=(path,)))
            continue
        plans.append(_part(root, folder, kind, transformer))
        if _class(kind) in ROUTERS:
            waiting += (
                (below[1], f"{path or '.'}/{below[0]}") for below in reversed(_types(folder))
            )
    return merge_plans("transformers", plans)


def _folder(root: Folder, path: str) -> Folder | None:
    joined = root.join(path)
    if joined is None or ".." in path.split("/"):
        return None
    return root.beneath(f"{joined}/" if joined else "")


def _class(kind: str) -> str:
    return kind.rpartition(".")[2]


def _types(folder: Folder) -> list[tuple[Any, Any]]:
    """The parts below a router's folder: name and type."""
    config = folder.document("router_config.json") or folder.document("config.json")
    types = config.get("types")
    # Once each: a name such as "." leads to the same folder again.
    return [
        entry
        for entry in (types.items() if isinstance(types, Mapping) else ())
        if isinstance(entry[0], str) and entry[0].strip("./")
    ]


def _part(
    root: Folder, folder: Folder, kind: str, transformer: Callable[[Folder], LoadPlan]
) -> LoadPlan:
    name = _class(kind)
    if not kind.startswith("sentence_transformers."):
        # A class of the model's own may load in any way; what is there is named.
        code = () if "--" in kind else root.paths(f"{kind.partition('.')[0]}.py")
        own = LoadPlan("transformers", files=_configs(folder), code=code)
        if folder.path and folder.path not in root.listing:
            return own  # no such folder, and a document may name very many
        return merge_plans("transformers", (own, transformer(folder)))
    if name not in TRANSFORMERS:
        return _module(folder, name)
    plan = merge_plans(
        "transformers", (LoadPlan("transformers", files=_configs(folder)), transformer(folder))
    )
    indexed = any(path.endswith(".index.json") for path in plan.files)
    if plan.weights or plan.missing or plan.outside or indexed:
        return plan
    if any(folder.has_folder(backend) for backend in _BACKENDS):
        return plan
    return replace(plan, missing=(folder.path + WEIGHTS[0],))


def _configs(folder: Folder) -> tuple[str, ...]:
    return folder.paths(*_TRANSFORMER_CONFIGS, *_PART_CONFIGS)


def _module(folder: Folder, name: str) -> LoadPlan:
    """A part that is no model of transformers."""
    tokenizer = ("tokenizer.json", "tokenizer_config.json") if name in WITH_TOKENIZER else ()
    needs = name in WITH_WEIGHTS
    if name == "SparseStaticEmbedding":
        # Its weights may be a JSON file of numbers, wherever that lies.
        needs = not str(folder.document("config.json").get("path")).endswith(".json")
    weights = folder.paths(*WEIGHTS)[:1] if needs else ()
    return LoadPlan(
        loader="transformers",
        weights=weights,
        files=folder.paths(*_PART_CONFIGS, *tokenizer),
        missing=() if weights or not needs else (folder.path + WEIGHTS[0],),
    )
