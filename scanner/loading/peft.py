"""Adapters that PEFT, and transformers with it, take from a folder."""

from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import LoadPlan, Rule

__all__ = ["ADAPTER_CONFIG", "RULES", "adapter"]

ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")

RULES = (
    Rule(
        takes="`adapter_config.json`, which makes a folder an adapter's",
        source="peft 0.21.2, config.py, PeftConfigMixin.from_pretrained; "
        "transformers 5.24.0, utils/peft_utils.py, find_adapter_config_file",
    ),
    Rule(
        takes="`adapter_model.safetensors`, else the pickle `adapter_model.bin`",
        source="peft 0.21.2, utils/save_and_load.py, load_peft_weights",
    ),
    Rule(
        takes="The base is the model in the same folder where `config.json` lies there, and the "
        "adapter is loaded on top of it; else `base_model_name_or_path`, from elsewhere",
        source="transformers 5.24.0, integrations/peft.py, maybe_load_adapters",
    ),
)


def adapter(folder: Folder) -> LoadPlan | None:
    """Return what is taken of the adapter in a folder; None if none lies there."""
    if not folder.has(ADAPTER_CONFIG):
        return None
    weights = folder.paths(*WEIGHTS)[:1]
    return LoadPlan(
        loader="transformers",
        weights=weights,
        files=folder.paths(ADAPTER_CONFIG),
        missing=() if weights else (folder.path + WEIGHTS[0],),
    )
