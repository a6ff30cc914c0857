"""Weights that transformers takes from a folder: which files, in which order of precedence."""

import re

from prefect_mutagen.scanner.loading.folder import Folder, indexed_weights
from prefect_mutagen.scanner.loading.plan import LoadPlan, Rule

__all__ = ["RULES", "checkpoint", "chosen_checkpoint"]

SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
# Classes of configs that name further weights; a config.json cannot.
EXTRA_WEIGHTS = {"jev": ("head.safetensors", "readout.safetensors")}

_MODELING = "transformers 5.24.0, modeling_utils.py, "
RULES = (
    Rule(
        takes="If a name matches `shard-NNNNN-model-NNNNN-of-NNNNN.safetensors`, before everything "
        "else all `*.safetensors` of the folder, sorted",
        source="transformers 5.24.0, distributed/checkpoint.py, is_sharded_checkpoint and "
        "_get_resolved_distributed_checkpoint_files",
    ),
    Rule(
        takes="The file that `transformers_weights` of `config.json` names, inside the folder: "
        "`*.safetensors`, or `*.safetensors.index.json` with its shards; any other name is refused",
        source=f"{_MODELING}_get_resolved_checkpoint_files",
    ),
    Rule(
        takes="The first that is there of `model.safetensors`, `model.safetensors.index.json`, "
        "`pytorch_model.bin`, `pytorch_model.bin.index.json`: a whole file before shards, a pickle "
        "where no safetensors is",
        source=f"{_MODELING}_get_resolved_checkpoint_files",
    ),
    Rule(
        takes="With a variant, the same four names with it before the last ending "
        "(`model.fp16.safetensors`, `model.safetensors.index.fp16.json`), and none without it",
        source=f"{_MODELING}_add_variant",
    ),
    Rule(
        takes="Of an index, the values of `weight_map`, sorted and joined to the folder; `./x`, "
        "`sub/x` and what leads out of the folder are followed",
        source="transformers 5.24.0, utils/hub.py, get_checkpoint_shard_files",
    ),
    Rule(
        takes="For `model_type: jev`, also `head.safetensors` and `readout.safetensors`",
        source=f"{_MODELING}PreTrainedModel.from_pretrained (extra_files of the config's class)",
    ),
)

_SHARD_OF_RANK = re.compile(r"shard-[0-9]{5}-model-[0-9]{5}-of-[0-9]{5}\.safetensors$")
_NUMBERED = re.compile(r"-[0-9]+-of-[0-9]+$")
_VARIANT = re.compile(
    r"(?:model\.safetensors\.index|pytorch_model\.bin\.index)\.(?P<index>[^/]+)\.json\Z"
    r"|model\.(?!safetensors\.index\.)(?P<safetensors>[^/]+)\.safetensors\Z"
    r"|pytorch_model\.(?!bin\.index\.)(?P<pickle>[^/]+)\.bin\Z"
)


def chosen_checkpoint(folder: Folder, own: tuple[str, ...]) -> LoadPlan:
    """Return the weights that are opened by default, or those of the variant that others are of.

    Args:
        folder: Folder that is loaded.
        own: Weights whose loading is planned. Where the default does not take them and a variant
            does, it is that variant that is loaded.
    """
    default = checkpoint(folder)
    if default.weights and (not own or not set(own).isdisjoint(default.weights)):
        return default
    others = (checkpoint(folder, variant) for variant in _variants(folder))
    for plan in others:
        if set(own) & set(plan.weights) or not (own or default.files or default.missing):
            return plan
    return default


def checkpoint(folder: Folder, variant: str = "") -> LoadPlan:
    """Return the weights of one variant (empty: none) that transformers opens in a folder."""
    if any(_SHARD_OF_RANK.match(name) for name in folder.names()):
        names = [name for name in folder.names() if name.endswith(".safetensors")]
        return LoadPlan("transformers", weights=folder.paths(*names), variants=("",))
    plan = _named(folder) or _first(folder, variant)
    extra = EXTRA_WEIGHTS.get(str(folder.document("config.json").get("model_type")), ())
    more = tuple(path for path in folder.paths(*extra) if path not in plan.weights)
    return LoadPlan(
        loader="transformers",
        weights=plan.weights + more,
        files=plan.files,
        missing=plan.missing,
        outside=plan.outside,
        variants=plan.variants,
    )


def _named(folder: Folder) -> LoadPlan | None:
    """What ``transformers_weights`` names; None if it names nothing."""
    name = folder.document("config.json").get("transformers_weights")
    if not isinstance(name, str) or not name:
        return None
    path = folder.join(name)
    if path is None or not path.startswith(folder.path):
        return LoadPlan("transformers", outside=(name,))
    known = name.endswith((".safetensors", ".safetensors.index.json"))
    if path not in folder.files.names or not (known or name == "adapter_model.bin"):
        return LoadPlan("transformers", missing=(path,))
    if name.endswith(".index.json"):
        return indexed_weights("transformers", folder, path)
    return LoadPlan("transformers", weights=(path,), variants=("",))


def _first(folder: Folder, variant: str) -> LoadPlan:
    for name in (SAFETENSORS, SAFETENSORS_INDEX, PICKLE, PICKLE_INDEX):
        present = _with_variant(name, variant)
        if not folder.has(present):
            continue
        if name.endswith(".json"):
            return indexed_weights("transformers", folder, folder.path + present, variant)
        return LoadPlan("transformers", weights=folder.paths(present), variants=(variant,))
    return LoadPlan("transformers")


def _with_variant(name: str, variant: str) -> str:
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{variant}.{ending}" if variant else name


def _variants(folder: Folder) -> tuple[str, ...]:
    """Variants of which something lies here, sorted."""
    found = (match for name in folder.names() if (match := _VARIANT.match(name)))
    variants = {match[match.lastgroup or 0] for match in found}
    return tuple(sorted(variant for variant in variants if not _NUMBERED.search(variant)))
