"""What MLX (mlx-lm) takes from a folder: every ``model*.safetensors``, whatever an index says."""

from fnmatch import fnmatchcase
from typing import Final

from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles, Rule
from prefect_mutagen.scanner.loading.transformers import component

__all__ = ["RULES", "plan"]

_SOURCE: Final = "mlx-lm 0.32.2, utils.py, "
_PATTERN: Final = "model*.safetensors"
RULES: Final = (
    Rule(
        takes="`config.json`, without which it fails, and `generation_config.json`, whose "
        "`eos_token_id` replaces that of the config",
        source=f"{_SOURCE}load_config",
    ),
    Rule(
        takes="Every file of the folder that matches `model*.safetensors`, in no particular "
        "order; no index is read, so that a stray whole file, a variant or a shard of another "
        "revision is merged in, and of two tensors of one name the one read last counts",
        source=f"{_SOURCE}load_model",
    ),
    Rule(
        takes="`hf_quant_config.json`, if no config has a `quantization_config`",
        source=f"{_SOURCE}load_model",
    ),
    Rule(
        takes="`model_file` of `config.json`: Python that builds the architecture, joined to the "
        "folder, under `trust_remote_code`",
        source=f"{_SOURCE}load_model",
    ),
    Rule(
        takes="The tokenizer, its chat template and its code as transformers takes them",
        source="mlx-lm 0.32.2, tokenizer_utils.py, load",
    ),
    Rule(
        takes="Of an adapter, which is named by option (`--adapter-path`): `adapter_config.json` "
        "and `adapters.safetensors`",
        source="mlx-lm 0.32.2, tuner/utils.py, load_adapters",
    ),
)

_CONFIG: Final = "config.json"
_OWN: Final = ("config.json", "generation_config.json")
_QUANTIZATION: Final = "hf_quant_config.json"
_ADAPTER: Final = ("adapter_config.json", "adapters.safetensors")
# Configs of processors, which mlx-lm does not ask for.
_NOT_OPENED: Final = ("processor_config.json", "custom_generate/requirements.txt")


def plan(files: ModelFiles, weights: tuple[str, ...]) -> LoadPlan | None:
    """Return what mlx-lm takes from the folder of some weights.

    Args:
        files: Files of the model, and the folder of the weights that are judged.
        weights: These weights.

    Returns:
        The plan; None if there is nothing that it loads.
    """
    folder = Folder.of(files, files.folder)
    found = tuple(folder.path + name for name in folder.names() if fnmatchcase(name, _PATTERN))
    if not found:
        config, adapter = _ADAPTER
        if folder.path + adapter not in weights or not folder.has(config):
            return None
        return LoadPlan("mlx", folder.paths(adapter), folder.paths(config))
    if not folder.has(_CONFIG):
        return None
    beside = component(folder)
    custom, outside = _model_file(folder)
    opened = (path for path in beside.files if _is_opened(folder, path))
    return LoadPlan(
        "mlx",
        found,
        tuple(dict.fromkeys((*folder.paths(*_OWN), *_quantization(folder), *opened))),
        beside.templates,
        tuple(dict.fromkeys((*custom, *beside.code))),
        outside=outside,
    )


def _is_opened(folder: Folder, path: str) -> bool:
    name = path.removeprefix(folder.path)
    return not name.endswith((".index.json", *_NOT_OPENED))


def _quantization(folder: Folder) -> tuple[str, ...]:
    config = folder.document(_CONFIG)
    nested = config.get("text_config")
    stated = "quantization_config" in config or (
        isinstance(nested, dict) and "quantization_config" in nested
    )
    return () if stated else folder.paths(_QUANTIZATION)


def _model_file(folder: Folder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the Python file that the config names: inside the model, or a name that leads out."""
    name = folder.document(_CONFIG).get("model_file")
    if not isinstance(name, str) or not name:
        return (), ()
    path = folder.join(name)
    return ((), (name,)) if path is None else ((path,), ())
