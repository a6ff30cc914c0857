"""Say what each loader takes of an artifact's model, and what follows from that.

What a loader takes is named from the listing, so a file that storage refuses to read is in its plan
all the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from prefect_mutagen.parsers import GgufHeader
from prefect_mutagen.scanner.content.license_files import LICENSE_LAYER
from prefect_mutagen.scanner.content.oci import layout_of
from prefect_mutagen.scanner.content.shard_index import ShardIndex
from prefect_mutagen.scanner.content.template_places import mark_rendered
from prefect_mutagen.scanner.examine.naming import listed
from prefect_mutagen.scanner.examine.parts import Part
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.artifacts import Artifact, RegistryModel
from prefect_mutagen.scanner.listing.rivals import WELL_KNOWN
from prefect_mutagen.scanner.listing.roles import PIPELINE_MARKS, role_of
from prefect_mutagen.scanner.loading.plan import Loader, LoadPlan, ModelFiles, merge_plans
from prefect_mutagen.scanner.loading.plan_memory import PlanMemory
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, StoredObject

__all__ = [
    "add_plans",
    "check_plans",
    "documents_of_weights",
    "loaders_of",
    "loads_of",
    "plan_loads",
    "taken_by",
]

_Planner = Callable[[ModelFiles, tuple[str, ...]], LoadPlan | None]
_OF_GGUF: Final = ("transformers", "llama.cpp", "ollama", "vllm")
"""Loaders that take a GGUF file."""
_TEMPLATE_KEY: Final = "tokenizer.chat_template"
_WHOLE: Final = ("transformers", "diffusers")
"""Loaders whose missing files are reported. What others miss, such as vLLM a configuration beside
a GGUF file, is not part of most models."""


def plan_loads(
    artifact: Artifact, documents: Mapping[str, Any], memory: PlanMemory
) -> tuple[LoadPlan, ...]:
    """Return the plans of all loaders for the folder of an artifact, or for its GGUF file.

    Args:
        artifact: The artifact.
        documents: The JSON files of its model by path relative to its root, those of
            `documents_of_weights` among them.
        memory: Plans for other artifacts.
    """
    if artifact.registry:
        return (_of_registry(artifact, artifact.registry),)
    weights = tuple(_path_of(artifact, item) for item in artifact.objects)
    if not weights:  # the shards of an index are not there
        return ()
    files = ModelFiles(_names(artifact, weights), _unwrapped(documents), artifact.folder)
    return memory.plan(files, weights, _plan)


def _plan(files: ModelFiles, weights: tuple[str, ...]) -> tuple[LoadPlan, ...]:
    gguf = all(path.lower().endswith(".gguf") for path in weights)
    planners = _planners()
    loaders: Iterable[Loader] = _OF_GGUF if gguf else planners
    plans = (planners[loader](files, weights) for loader in loaders)
    return tuple(plan for plan in plans if plan is not None)


@cache
def _planners() -> Mapping[Loader, _Planner]:
    """Import what knows the loaders; a command that examines nothing starts without it."""
    from prefect_mutagen.scanner.loading import (
        diffusers,
        llama_cpp,
        mlx,
        ollama,
        transformers,
        vllm,
    )

    return {
        "transformers": transformers.plan,
        "diffusers": diffusers.plan,
        "llama.cpp": llama_cpp.plan,
        "ollama": ollama.plan,
        "vllm": vllm.plan,
        "mlx": mlx.plan,
    }


def loads_of(artifact: Artifact, plans: Sequence[LoadPlan]) -> dict[str, tuple[str, ...]]:
    """Return the files that each loader opens, renders or runs, in its order.

    Args:
        artifact: The artifact; only loaders that take some of its weights count.
        plans: What `plan_loads` returned.
    """
    return {plan.loader: plan.opened() for plan in plans if _takes(plan, artifact)}


def loaders_of(artifact: Artifact, plans: Sequence[LoadPlan]) -> dict[str, list[str]]:
    """Return the loaders that take each file as weights together with an artifact's.

    Args:
        artifact: The artifact.
        plans: What `plan_loads` returned.

    Returns:
        Names of loaders by path relative to the model's root.
    """
    found: dict[str, list[str]] = {}
    for plan in plans:
        for path in plan.weights if _takes(plan, artifact) else ():
            found.setdefault(path, []).append(plan.loader)
    return found


def taken_by(
    artifact: Artifact, loads: Mapping[str, Iterable[str]]
) -> dict[str, tuple[StoredObject, ...]]:
    """Return the files that each loader takes besides an artifact's weights.

    Args:
        artifact: The artifact.
        loads: What `loads_of` returned. A file of which only the name is known has no size.
    """
    known = {
        _path_of(artifact, item): item
        for one in (artifact, *artifact.parts)
        for item in (*one.describing, *one.beside.code, *one.objects)
    }
    for model in artifact.registry:
        items = (model.manifest, *artifact.objects, *(item for _, item in model.texts))
        known |= {_in_store(item, model): item for item in items}
    own = {item.url for item in artifact.objects}
    taken: dict[str, tuple[StoredObject, ...]] = {}
    for loader, paths in loads.items():
        items = tuple(
            known.get(path) or StoredObject(artifact.root + path, UNKNOWN_SIZE, "")
            for path in paths
        )
        # No signature covers itself, though Ollama takes it for any other JSON file.
        taken[loader] = tuple(
            item for item in items if item.url not in own and role_of(item.name) != "signature"
        )
    return taken


def add_plans(artifact: Artifact, result: ScanResult, plans: Sequence[LoadPlan]) -> ScanResult:
    """Return a result with what its plans name, and which templates they render."""
    found = (*result.findings, *check_plans(artifact, plans), *_unread(artifact, result, plans))
    facts = result.facts
    if "chat_templates" in facts:
        rendered: dict[str, frozenset[str]] = {
            plan.loader: frozenset(plan.templates) for plan in plans if _takes(plan, artifact)
        }
        facts = {**facts, "chat_templates": mark_rendered(facts["chat_templates"], rendered)}
    findings = tuple(dict.fromkeys(found))
    return replace(result, facts=facts, findings=findings, loads=loads_of(artifact, plans))


def _unread(artifact: Artifact, result: ScanResult, plans: Sequence[LoadPlan]) -> Iterator[Finding]:
    """Report files that a loader opens with the weights, and that could not be read here.

    What a configuration has a loader run or trust is not known without it.
    """
    taken = [(plan.loader, plan.opened()) for plan in plans if _takes(plan, artifact)]
    for finding in result.findings:
        name = finding.field.rpartition("/")[2]
        says_nothing = name == LICENSE_LAYER or role_of(name) in ("signature", "checksum")
        if finding.code != "sbom/neighbour-unread" or says_nothing:
            continue
        loaders = [
            name for name, paths in taken if any(finding.url.endswith(f"/{path}") for path in paths)
        ]
        if loaders:
            message = f"{finding.message}; opened by {listed(loaders)}, so what it says counts"
            yield make_finding("sbom/unexamined", message, url=finding.url, field=finding.field)


def documents_of_weights(
    artifact: Artifact, parts: Sequence[Part], index: ShardIndex | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what plans need to know of weights: keys of GGUF files, and the files of an index.

    Args:
        artifact: The artifact.
        parts: Its files, as they were read.
        index: Its index.
    """
    if artifact.shard_index is not None and index is not None:
        names = index.shards()
        shards = {"weight_map": dict(zip(names, names, strict=True))}
        yield _path_of(artifact, artifact.shard_index), shards
    for part in parts:
        header = part.seen.header
        if isinstance(header, GgufHeader):
            keys = (entry.key for entry in header.metadata)
            templates = dict.fromkeys((key for key in keys if key.startswith(_TEMPLATE_KEY)), "")
            yield _path_of(artifact, part.item), templates


def check_plans(artifact: Artifact, plans: Sequence[LoadPlan]) -> Iterator[Finding]:
    """Report what a loader asks for and does not find, takes from elsewhere, or mixes.

    Each finding has the loader in its field, for a policy that names the loaders in use.

    Args:
        artifact: The artifact.
        plans: What `plan_loads` returned.
    """
    everyone = (artifact, *artifact.parts)
    # A set says itself which of its shards are missing. Without a listing nothing is known to be.
    whole = all(one.listed and not one.beside.unlisted for one in everyone)
    counts = whole and (artifact.parts or artifact.kind == "file")
    own = {_path_of(artifact, item) for item in artifact.objects}
    unnamed = {one.folder + name for one in everyone for name in one.rivals.others} - own
    for plan in plans:
        field, taken = f"loads.{plan.loader}", _takes(plan, artifact)
        others = plan.weights or plan.missing
        if others and not taken and _is_well_known(artifact):
            message = f"{plan.loader} asks for {listed(others)} instead of these weights"
            yield make_finding("set/ambiguous-weights", message, url=artifact.url, field=field)
        if plan.missing and taken and counts and plan.loader in _WHOLE:
            code = "set/missing-part" if _is_pipeline(artifact) else "set/incomplete-load"
            message = f"{plan.loader} asks for {listed(plan.missing)}, which is not there"
            yield make_finding(code, message, url=artifact.url, field=field)
        pickled = [path for path in plan.weights if _is_pickle(path) and path not in own]
        if pickled and taken:
            message = f"{plan.loader} loads pickled weights with these: {listed(pickled)}"
            yield make_finding("set/pickle-beside", message, url=artifact.url, field=field)
        merged = [path for path in plan.weights if path in unnamed]
        if merged and taken:
            message = f"{plan.loader} loads {listed(merged)} together with these weights"
            yield make_finding("set/ambiguous-weights", message, url=artifact.url, field=field)
        if plan.outside:
            message = f"{plan.loader} is told to take {listed(plan.outside)}, outside of the model"
            yield make_finding("set/outside-model", message, url=artifact.url, field=field)
        if artifact.parts and len(plan.variants) > 1:
            names = listed([variant or "(none)" for variant in plan.variants])
            message = f"{plan.loader} takes weights of several variants together: {names}"
            yield make_finding("set/mixed-variants", message, url=artifact.url, field=field)


def _takes(plan: LoadPlan, artifact: Artifact) -> bool:
    """Whether a loader takes an artifact's weights. What says so of a pipeline is its index."""
    if artifact.parts or artifact.registry:
        return True
    return any(_path_of(artifact, item) in plan.weights for item in artifact.objects)


def _is_pickle(path: str) -> bool:
    return role_of(path.rpartition("/")[2]) == "pickle"


def _is_well_known(artifact: Artifact) -> bool:
    """Whether a folder is loaded for these weights, and the listing has not told of others."""
    stem = artifact.objects[0].name.partition(".")[0].partition("-0")[0]
    return stem in WELL_KNOWN and not artifact.rivals.weights


def _is_pipeline(artifact: Artifact) -> bool:
    """Whether an artifact's root describes a pipeline, also one whose only weights it is."""
    return bool(artifact.parts) or any(
        item.name in PIPELINE_MARKS for item in artifact.beside.neighbours
    )


def _names(artifact: Artifact, weights: tuple[str, ...]) -> frozenset[str]:
    """Return the paths of all files of a model that are known."""
    names = set(weights)
    for one in (artifact, *artifact.parts):
        files = (*one.describing, *one.beside.code)
        names.update(_path_of(artifact, item) for item in files)
        others = (*one.rivals.weights, *one.rivals.others, *one.beside.pickles.names)
        names.update(one.folder + name for name in others)
    return frozenset(names)


def _path_of(artifact: Artifact, item: StoredObject) -> str:
    root = artifact.root
    return item.plain_url[len(root) :] if item.url.startswith(root) else item.name


def _unwrapped(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Return documents with lists as such; they are carried as the value of the empty key."""
    return {
        path: document[""] if isinstance(document, Mapping) and set(document) == {""} else document
        for path, document in documents.items()
    }


def _of_registry(artifact: Artifact, models: Sequence[RegistryModel]) -> LoadPlan:
    """Return what is taken with the blobs of an artifact, for all models that use them."""
    weights = tuple(_in_store(item, models[0]) for item in artifact.objects)
    plans = []
    for model in models:
        texts = [(kind, _in_store(item, model)) for kind, item in model.texts]
        loader = _loader_of(model)
        plans.append(
            LoadPlan(
                loader,
                weights,
                (_in_store(model.manifest, model), *(path for _, path in texts)),
                tuple(path for kind, path in texts if kind in ("template", "jinja")),
            )
        )
    return merge_plans(plans[0].loader, plans)


def _loader_of(model: RegistryModel) -> Loader:
    """Return what loads a registry's model: a layout's GGUF is for llama.cpp, and its likes."""
    return "llama.cpp" if layout_of(model.manifest.url) is not None else "ollama"


def _in_store(item: StoredObject, model: RegistryModel) -> str:
    """Return the path of a file relative to the store's folder."""
    place = layout_of(model.manifest.url)
    store = model.manifest.url.partition("/manifests")[0] + "/" if place is None else place.root
    return item.url[len(store) :] if item.url.startswith(store) else item.name
