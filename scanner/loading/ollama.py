"""What Ollama takes: blobs that a manifest of its store names, or what ``create`` is given."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from prefect_mutagen.scanner.content.ollama import (
    TENSORS,
    WEIGHTS,
    Layer,
    OllamaManifest,
    blob_digest,
    manifest_of,
    manifest_place,
)
from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles, Rule, merge_plans

__all__ = ["RULES", "plan"]

_MODEL: Final = "ollama 0.33.0-rc2, server/images.go, GetModel"
_CREATE: Final = "ollama 0.33.0-rc2, parser/parser.go, filesForModel"
RULES: Final = (
    Rule(
        takes="`manifests/HOST/NAMESPACE/NAME/TAG`: JSON with a config and layers; keys in any "
        "case, the rest after the first value is not read",
        source="ollama 0.33.0-rc2, manifest/manifest.go, ParseNamedManifest; types/model/name.go, "
        "ParseNameFromFilepath",
    ),
    Rule(
        takes="A layer's `blobs/sha256-HEX` by its digest (`sha256:HEX` or `sha256-HEX`; blobs of "
        "older versions are named `sha256:HEX` and renamed at the start); without it the model "
        "does not load. The bytes are hashed when a model is pulled, not when it is loaded",
        source="ollama 0.33.0-rc2, manifest/paths.go, BlobsPath; server/fixblobs.go",
    ),
    Rule(
        takes="Of the layers `application/vnd.ollama.image.` + `model` and `draft` the last, of "
        "`adapter` and `projector` all; `embed` is passed over, like every other type",
        source=_MODEL,
    ),
    Rule(
        takes="If the config has `model_format: safetensors`, all `tensor` layers (safetensors of "
        "a tensor or a few) and `json` layers by name",
        source="ollama 0.33.0-rc2, x/imagegen/manifest/manifest.go, GetTensorLayers and ReadConfig",
    ),
    Rule(
        takes="`params`, `messages` (JSON), `system` and `license` (text; licences add up)",
        source=_MODEL,
    ),
    Rule(
        takes="The last `template` or `prompt` layer, rendered by Go's text/template; or the "
        "file's `tokenizer.chat_template`, which is preferred where it can do more, with "
        "`renderer` or `parser` in the config neither",
        source=f"{_MODEL}, shouldPreferChatTemplate and selectedTemplateSource",
    ),
    Rule(
        takes="`ollama create` from a GGUF file: that file",
        source="ollama 0.33.0-rc2, parser/parser.go, fileDigestMap",
    ),
    Rule(
        takes="`ollama create` from a folder: the first that is there of `model*.safetensors` "
        "(then `*/model*.safetensors` too), `consolidated*.safetensors`, `pytorch_model*.bin`, "
        "`consolidated*.pth`, `*.gguf`, `*.bin`, all that match",
        source=_CREATE,
    ),
    Rule(
        takes="As the new file's template, `chat_template` of `tokenizer_config.json` (of a list "
        "the one named `default`), else `chat_template.jinja`",
        source="ollama 0.33.0-rc2, convert/tokenizer.go, parseTokenizer",
    ),
    Rule(
        takes="With these `*.json`, `*/*.json`, `chat_template.jinja`, and `tokenizer.model`, else "
        "`*/tokenizer.model`",
        source=_CREATE,
    ),
)

_GGUF_TEMPLATE: Final = "tokenizer.chat_template"
_TOKENIZER_CONFIG: Final = "tokenizer_config.json"
_TEMPLATES: Final = ("template", "prompt")
_FIRST: Final = "model*.safetensors"
_PATTERNS: Final = (
    "consolidated*.safetensors",
    "pytorch_model*.bin",
    "consolidated*.pth",
    "*.gguf",
    "*.bin",
)


def plan(files: ModelFiles, weights: tuple[str, ...]) -> LoadPlan | None:
    """Return what Ollama takes of its store with some blobs, or of a folder when it imports it.

    Args:
        files: Files of the store or the model. The parsed manifests stand in ``documents``.
        weights: The blobs, or the weights, that are judged.

    Returns:
        The plan; for blobs that of all models that use one of them. None if there is none.
    """
    digests = {blob_digest(path.rpartition("/")[2]) for path in weights} - {""}
    if digests:
        blobs = _blobs(files)
        plans = [
            _model(path, manifest, blobs)
            for path, manifest in _manifests(files)
            if any(layer.digest in digests for layer in _opened_layers(manifest))
        ]
        return merge_plans("ollama", plans) if plans else None
    if len(weights) == 1 and weights[0].lower().endswith(".gguf"):
        template = f"{weights[0]}:{_GGUF_TEMPLATE}"
        return LoadPlan("ollama", weights, templates=(template,))
    return _imported(Folder.of(files, files.folder))


def _blobs(files: ModelFiles) -> dict[tuple[str, str], str]:
    """Return the paths of all blobs by store and digest."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(files.names, reverse=True):  # sha256- counts before the older sha256:
        folder, slash, name = path.rpartition("/")
        if digest := blob_digest(name):
            is_usual = folder == "blobs" or folder.endswith("/blobs")
            found[folder.removesuffix("blobs") if is_usual else folder + slash, digest] = path
    return found


def _manifests(files: ModelFiles) -> Iterator[tuple[str, OllamaManifest]]:
    for path in sorted(files.names):
        if manifest_place(path) is not None:
            yield path, manifest_of(files.documents.get(path))


def _opened_layers(manifest: OllamaManifest) -> tuple[Layer, ...]:
    """Return the layers with weights that are opened: the last model and draft, all others."""
    last = {layer.kind: layer for layer in manifest.layers if layer.kind in ("model", "draft")}
    return tuple(
        layer
        for layer in manifest.layers
        if layer.kind in (*WEIGHTS, TENSORS) and last.get(layer.kind, layer) is layer
    )


def _model(path: str, manifest: OllamaManifest, blobs: dict[tuple[str, str], str]) -> LoadPlan:
    store, _ = manifest_place(path) or ("", "")
    missing: list[str] = []

    def found(layers: Iterable[Layer]) -> tuple[str, ...]:
        paths = []
        for layer in layers:
            blob = blobs.get((store, layer.digest))
            if blob is None:
                missing.append(f"{store}blobs/sha256-{layer.digest}")
            else:
                paths.append(blob)
        return tuple(dict.fromkeys(paths))

    weights = found(_opened_layers(manifest))
    config = () if manifest.config is None else (manifest.config,)
    beside = ("params", "messages", "system", "license", "json")
    texts = found((*config, *(layer for layer in manifest.layers if layer.kind in beside)))
    templates = found([layer for layer in manifest.layers if layer.kind in _TEMPLATES][-1:])
    models = [layer for layer in manifest.layers if layer.kind == "model"][-1:]
    ggufs = [f"{blob}:{_GGUF_TEMPLATE}" for blob in found(models)]
    return LoadPlan(
        "ollama",
        weights,
        (path, *texts),
        (*templates, *ggufs),
        missing=tuple(dict.fromkeys(missing)),
    )


def _imported(folder: Folder) -> LoadPlan | None:
    """Return what ``ollama create`` takes from a folder."""
    weights = _matching(folder, "", _FIRST)
    if weights:
        weights += _nested(folder, _FIRST)
    for pattern in _PATTERNS:
        weights = weights or _matching(folder, "", pattern)
    if not weights:
        return None
    jinja = folder.paths("chat_template.jinja")
    tokenizer = folder.paths("tokenizer.model") or _nested(folder, "tokenizer.model")
    files = (*_matching(folder, "", "*.json"), *_nested(folder, "*.json"), *jinja, *tokenizer)
    template = folder.document(_TOKENIZER_CONFIG).get("chat_template")
    place = f"{folder.path}{_TOKENIZER_CONFIG}:chat_template"
    if isinstance(template, list):
        place += ".default"
    templates = jinja if template is None else (place,)
    return LoadPlan("ollama", weights, tuple(dict.fromkeys(files)), templates)


def _nested(folder: Folder, pattern: str) -> tuple[str, ...]:
    """Return the files that match directly in the folders of a folder."""
    inside = (path.removeprefix(folder.path) for path in folder.listing if path != folder.path)
    below = sorted(
        path for path in inside if path.count("/") == 1 and folder.path + path in folder.listing
    )
    return tuple(name for path in below for name in _matching(folder, path, pattern))


def _matching(folder: Folder, below: str, pattern: str) -> tuple[str, ...]:
    return tuple(
        f"{folder.path}{below}{name}" for name in folder.names(below) if fnmatchcase(name, pattern)
    )
