"""What diffusers takes from a model: a pipeline with its components, a single model, a LoRA."""

import re
from collections.abc import Callable
from dataclasses import replace

from prefect_mutagen.scanner.loading.components import Component, components
from prefect_mutagen.scanner.loading.folder import Folder, indexed_weights
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles, Rule, merge_plans
from prefect_mutagen.scanner.loading.transformers import (
    code_files,
    model_part,
    processing_part,
)

__all__ = ["RULES", "plan"]

INDEX = "model_index.json"
MODULAR_INDEX = "modular_model_index.json"
MODULAR_CONFIG = "modular_config.json"
SAFETENSORS = "diffusion_pytorch_model.safetensors"
PICKLE = "diffusion_pytorch_model.bin"
ONNX = ("model.onnx", "weights.pb")
# Weights that are loaded into a pipeline, by the names that are taken when none is given.
ADDED = (
    ("pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"),
    ("learned_embeds.safetensors", "learned_embeds.bin"),
)

_CONFIGS = (
    "config.json",
    "scheduler_config.json",
    "guider_config.json",
    "mel_config.json",
)
# Run when `custom_pipeline` names the folder, or names nothing: its default is the text None.
_PIPELINES = ("pipeline.py", "None.py")
_LOADING = "diffusers 0.42.1, pipelines/pipeline_loading_utils.py, "
RULES = (
    Rule(
        takes="`model_index.json`: each key with a list `[library, class]` is a component, loaded "
        "from the folder of its name, or from the pipeline's where there is none; `[null, null]` "
        "is absent on purpose",
        source=f"{_LOADING}load_sub_model; pipelines/pipeline_utils.py, "
        "DiffusionPipeline.from_pretrained",
    ),
    Rule(
        takes="Of a model of diffusers, `config.json` and the first that is there of "
        "`diffusion_pytorch_model.safetensors.index.json` with its shards (plain names only), "
        "`diffusion_pytorch_model.safetensors`, `diffusion_pytorch_model.bin`: shards before a "
        "whole file, other than in transformers; an index of pickles is not taken",
        source="diffusers 0.42.1, models/modeling_utils.py, ModelMixin.from_pretrained; "
        "utils/hub_utils.py, _get_checkpoint_shard_files",
    ),
    Rule(
        takes="Of a model, tokenizer or processor of transformers, what that library takes from "
        "the folder, an adapter included, but no code",
        source=f"{_LOADING}load_sub_model",
    ),
    Rule(
        takes="Of an ONNX component, `model.onnx` with `weights.pb`; of a scheduler "
        "`scheduler_config.json`, of a guider `guider_config.json`",
        source="diffusers 0.42.1, pipelines/onnx_utils.py, OnnxRuntimeModel._from_pretrained; "
        "schedulers/scheduling_utils.py; guiders/guider_utils.py",
    ),
    Rule(
        takes="With a variant, the files of that variant from each component that has any "
        "(`….fp16.safetensors`, `….index.fp16.json`, older `….fp16.index.json`), and those without "
        "one from the others: a mixture. A plan takes none where that is possible, else one that "
        "all components without plain files have",
        source=f"{_LOADING}_identify_model_variants; models/model_loading_utils.py, "
        "_fetch_index_file and _fetch_index_file_legacy",
    ),
    Rule(
        takes="From a folder, safetensors for each component that has them. Fetched by its name, a "
        "pipeline of which one component with weights has no safetensors is loaded from pickles "
        "alone, which are named here behind the safetensors",
        source=f"{_LOADING}is_safetensors_compatible and _get_ignore_patterns",
    ),
    Rule(
        takes="`component/library.py`, where a component's library is such a file; `file.py` where "
        "`_class_name` is a list `[file, class]`; `pipeline.py` when `custom_pipeline` names the "
        "folder, and `None.py` when it names nothing: all under `trust_remote_code`",
        source=f"{_LOADING}get_class_obj_and_candidates, _resolve_custom_pipeline_and_cls and "
        "_get_custom_pipeline_class",
    ),
    Rule(
        takes="`modular_config.json` and `modular_model_index.json`: `auto_map` runs `module.py`, "
        "under `trust_remote_code`; components come from the subfolders that are named",
        source="diffusers 0.42.1, modular_pipelines/modular_pipeline.py, "
        "ModularPipelineBlocks.from_pretrained",
    ),
    Rule(
        takes="Into a pipeline: `pytorch_lora_weights.safetensors`, else `.bin`; "
        "`learned_embeds.safetensors`, else `.bin`",
        source="diffusers 0.42.1, loaders/lora_base.py, _fetch_state_dict; "
        "loaders/textual_inversion.py, load_textual_inversion_state_dicts",
    ),
)

_NAMES = r"(?:diffusion_pytorch_model|pytorch_model|model)"
_VARIANT = re.compile(
    rf"{_NAMES}(?:-\d+-of-\d+)?\.(?P<file>[^/]+?)(?:-\d+-of-\d+)?\.(?:safetensors|bin)$"
    rf"|{_NAMES}\.(?:safetensors|bin)\.index\.(?P<index>[^/]+)\.json$"
    rf"|{_NAMES}\.(?:safetensors|bin)\.(?P<legacy>[^/]+)\.index\.json$"
)
# What decides from which kind of files a pipeline is fetched, by the loader's own patterns.
_MODEL_ENDINGS = ("bin", "safetensors", "onnx", "pb", "flashpack")
_STEMS = r"(?:diffusion_pytorch_model|pytorch_model|model|weights)"
_ENDING = r"\.(?:bin|safetensors|onnx|pb)$"
_NUMBER = r"\d{5}-of-\d{5}"
_PLAIN = re.compile(rf"{_STEMS}(?:-{_NUMBER})?{_ENDING}")


def plan(files: ModelFiles, weights: tuple[str, ...]) -> LoadPlan | None:
    """Return what diffusers takes from a model; None if it takes nothing of it.

    Args:
        files: Files of the model, and the folder of the weights that are judged.
        weights: These weights; where they are all of a variant, that variant is loaded.
    """
    folder = Folder.of(files, files.folder)
    parts = []
    if root := folder.parent_with(INDEX):
        parts.append(_pipeline(root, weights))
    if root := folder.parent_with(MODULAR_CONFIG) or folder.parent_with(MODULAR_INDEX):
        parts.append(_modular(root))
    if not parts:
        parts.append(_single(folder, weights))
    parts += [LoadPlan("diffusers", weights=folder.paths(*names)[:1]) for names in ADDED]
    taken = merge_plans("diffusers", parts)
    return taken if taken.opened() or taken.missing or taken.outside else None


def _pipeline(root: Folder, own: tuple[str, ...]) -> LoadPlan:
    named = tuple(components(root, INDEX))
    parts = tuple(entry for entry in named if not isinstance(entry, str))
    variant = _chosen_variant(root, parts, own)
    plans = [LoadPlan("diffusers", files=root.paths(INDEX))]
    plans += [_component(part, _variant_of(part, root, variant)) for part in parts]
    if not _has_safetensors(parts, root, variant):
        plans += [_pickles(part, _variant_of(part, root, variant)) for part in parts]
    class_name = root.document(INDEX).get("_class_name")
    own_class = class_name[:1] if isinstance(class_name, list) else ()
    modules = [f"{module}.py" for module in own_class if isinstance(module, str)]
    paths = (root.join(name) for name in (*modules, *_PIPELINES))
    code = LoadPlan(
        loader="diffusers",
        code=(
            *(path for path in paths if path and path in root.files.names),
            *(path for part in parts for path in part.code),
        ),
        outside=tuple(entry for entry in named if isinstance(entry, str)),
    )
    return merge_plans("diffusers", (*plans, code))


def _modular(root: Folder) -> LoadPlan:
    named = tuple(components(root, MODULAR_INDEX))
    own = LoadPlan(
        loader="diffusers",
        files=root.paths(MODULAR_CONFIG, MODULAR_INDEX),
        code=code_files(root, (MODULAR_CONFIG,)),
        outside=tuple(entry for entry in named if isinstance(entry, str)),
    )
    # A component may come from elsewhere: what is there is taken, and nothing is missed.
    parts = [
        replace(_component(entry, ""), missing=(), code=_own_class(entry.folder) + entry.code)
        for entry in named
        if not isinstance(entry, str) and entry.folder.path != root.path
    ]
    return merge_plans("diffusers", (own, *parts))


def _single(folder: Folder, own: tuple[str, ...]) -> LoadPlan:
    """A model by itself, or nothing."""
    default = _weights(folder, "")
    taken = default
    if set(own).isdisjoint(default.weights):
        others = (_weights(folder, variant) for variant in sorted(_variants(folder)))
        taken = next((other for other in others if set(own) & set(other.weights)), default)
    if not taken.files and not taken.weights:
        return taken
    configs = LoadPlan("diffusers", files=folder.paths("config.json"), code=_own_class(folder))
    return merge_plans("diffusers", (configs, taken))


def _own_class(folder: Folder) -> tuple[str, ...]:
    return code_files(folder, ("config.json",))


def _component(part: Component, variant: str) -> LoadPlan:
    folder = part.folder
    configs = LoadPlan("diffusers", files=folder.paths(*_CONFIGS))
    if part.kind == "config":
        return merge_plans("diffusers", (configs, processing_part(folder)))
    if part.kind == "onnx":
        found = LoadPlan("diffusers", weights=folder.paths(*ONNX))
        missing = part.place + ONNX[0]
    elif part.kind == "transformers":
        found, missing = model_part(folder, variant), part.place + "model.safetensors"
    else:
        # A class that is not known may be a model of transformers.
        found = _weights(folder, variant)
        if not (found.weights or found.missing or found.outside or found.files):
            found = model_part(folder, variant)
        missing = part.place + _with_variant(SAFETENSORS, variant)
    nothing = not (found.weights or found.missing or found.outside or _indexed(found))
    absent = LoadPlan("diffusers", missing=(missing,) if nothing and part.needs_weights else ())
    return merge_plans("diffusers", (configs, found, absent))


def _indexed(taken: LoadPlan) -> bool:
    return any(".index." in name for name in taken.files)


def _weights(folder: Folder, variant: str) -> LoadPlan:
    """The weights of one variant (empty: none) that a class of diffusers opens."""
    indexes = [_with_variant(f"{SAFETENSORS}.index.json", variant)]
    if variant:
        indexes.append(f"{SAFETENSORS}.{variant}.index.json")
    for index in folder.paths(*indexes)[:1]:
        return indexed_weights("diffusers", folder, index, variant, plain=True)
    files = folder.paths(_with_variant(SAFETENSORS, variant), _with_variant(PICKLE, variant))[:1]
    return LoadPlan("diffusers", weights=files, variants=(variant,) if files else ())


def _with_variant(name: str, variant: str) -> str:
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{variant}.{ending}" if variant else name


def _variants(folder: Folder) -> set[str]:
    found = (match for name in folder.names() if (match := _VARIANT.match(name)))
    return {match[match.lastgroup or 0] for match in found}


def _variant_of(part: Component, root: Folder, variant: str) -> str:
    """The variant that a component is loaded in, of a pipeline that is loaded in one."""
    if not variant or part.folder.path == root.path:
        return ""
    seconds = (name.split(".")[1] for name in part.folder.names() if "." in name)
    return variant if any(second.startswith(variant) for second in seconds) else ""


def _chosen_variant(root: Folder, parts: tuple[Component, ...], own: tuple[str, ...]) -> str:
    """The variant that a pipeline is loaded in: none, where that is possible.

    Where a component has only variants, it is one of those that all such components have. Where
    the weights that are judged are all of variants, it is one of these.
    """
    models = [part for part in parts if part.needs_weights and part.folder.path != root.path]
    judged = {match[match.lastgroup or 0] if match else "" for match in map(_match, own)}
    incomplete = [part for part in models if not _component(part, "").variants]
    found = [(part, there) for part in incomplete if (there := _variants(part.folder))]
    if found:
        shared = sorted(set.intersection(*(there for _, there in found)), key=_in(judged))
        whole = (
            name for name in shared if all(_component(part, name).variants for part, _ in found)
        )
        return next(whole, "")
    return "" if "" in judged else min(judged, default="")


def _in(judged: set[str]) -> Callable[[str], tuple[bool, str]]:
    return lambda variant: (variant not in judged, variant)


def _match(path: str) -> re.Match[str] | None:
    return _VARIANT.match(path.rpartition("/")[2])


def _has_safetensors(parts: tuple[Component, ...], root: Folder, variant: str) -> bool:
    """Whether a pipeline that is fetched by its name is fetched as safetensors."""
    of_variant = re.compile(
        rf"{_STEMS}\.(?:{re.escape(variant)}|{re.escape(variant)}-{_NUMBER}){_ENDING}"
    )
    for folder in {part.folder.path: part.folder for part in parts}.values():
        names = [name for name in folder.names() if name.endswith(_MODEL_ENDINGS)]
        if not names or folder.path == root.path:
            continue
        chosen = [name for name in names if variant and of_variant.match(name)]
        chosen = chosen or [name for name in names if _PLAIN.match(name)]
        if not any(name.endswith(".safetensors") for name in chosen):
            return False
    return True


def _pickles(part: Component, variant: str) -> LoadPlan:
    """The pickle of a component that is taken where its safetensors were not fetched."""
    names = (PICKLE, "pytorch_model.bin") if part.kind != "config" else ()
    found = part.folder.paths(*(_with_variant(name, variant) for name in names))
    index = _with_variant("pytorch_model.bin.index.json", variant)
    shards = [
        indexed_weights("diffusers", part.folder, path, variant)
        for path in part.folder.paths(index)
        if part.kind == "transformers" and not found
    ]
    return merge_plans("diffusers", (LoadPlan("diffusers", weights=found[:1]), *shards))
