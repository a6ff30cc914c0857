"""Plans of diffusers against what its own functions open in 300 random folders."""

import contextlib
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.loading.checkpoints import checkpoint
from prefect_mutagen.scanner.loading.components import PIPELINE_LIBRARIES
from prefect_mutagen.scanner.loading.diffusers import plan
from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import ModelFiles
from tests.scanner.loading.loader_source import (
    constant,
    empty_folder,
    functions,
    relative,
    statements,
    without_network,
    written,
)

FOLDERS = 300
pytestmark = pytest.mark.filterwarnings("ignore")  # the loader's own
LOADING = "pipelines/pipeline_loading_utils.py"
CLASSES = {
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "feature_extractor": [None, None],
}


@pytest.fixture(scope="module", autouse=True)
def _loader() -> Iterator[None]:
    with without_network("diffusers"), without_network("transformers"):
        yield


def _names(stem: str, variant: str) -> dict[str, Any]:
    """Everything that weights of a component may be called, in one variant."""
    before = f".{variant}" if variant else ""
    shards = [f"{stem}{before}-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"metadata": {}, "weight_map": {"a": shards[0], "b": shards[1]}}
    pickle = stem if stem.startswith("diffusion") else "pytorch_model"
    return {
        f"{stem}{before}.safetensors": "",
        f"{stem}.safetensors.index{before}.json": index,
        f"{pickle}{before}.bin": "",
        **dict.fromkeys(shards, ""),
    }


def _pipeline(chance: random.Random) -> dict[str, Any]:
    named = {name: value for name, value in CLASSES.items() if chance.random() < 0.9}
    contents: dict[str, Any] = {}
    for name in named:
        if name in ("scheduler", "tokenizer", "feature_extractor"):
            continue
        stem = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        there = {**_names(stem, ""), **(_names(stem, "fp16") if chance.random() < 0.3 else {})}
        share = chance.choice((0.3, 0.6))
        contents |= {f"{name}/{n}": c for n, c in there.items() if chance.random() < share}
        contents[f"{name}/config.json"] = {}
    contents |= {"scheduler/scheduler_config.json": {}, "model_index.json": {"_class_name": "X"}}
    contents["model_index.json"] |= named
    if chance.random() < 0.2:
        contents["model_index.json"]["_class_name"] = ["own", "X"]
    contents |= {n: "" for n in ("own.py", "None.py", "unet/diffusers.py") if chance.random() < 0.2}
    return contents


class _Loader:
    """diffusers' own functions and statements, and what they use."""

    def __init__(self) -> None:
        from diffusers import utils
        from diffusers.utils import hub_utils

        around = {name: getattr(utils, name) for name in dir(utils) if name.isupper()}
        around |= {"is_transformers_available": lambda: True, "re": re}
        around |= {"TRANSFORMERS_WEIGHTS_NAME": "pytorch_model.bin"}
        around |= {"TRANSFORMERS_SAFE_WEIGHTS_NAME": "model.safetensors"}
        around["FLASHPACK_WEIGHTS_NAME"] = constant(
            "diffusers", "utils/constants.py", "FLASHPACK_WEIGHTS_NAME"
        )
        self.pipeline = functions(
            "diffusers",
            LOADING,
            "is_safetensors_compatible",
            "filter_model_files",
            "filter_with_regex",
            "_identify_model_variants",
            "_resolve_custom_pipeline_and_cls",
            **around,
        )
        self.around = functions(
            "diffusers",
            "models/model_loading_utils.py",
            "_fetch_index_file",
            "_fetch_index_file_legacy",
            **around,
            _add_variant=hub_utils._add_variant,
            deprecate=lambda *_, **__: None,
        )
        self.around |= {
            "_get_model_file": hub_utils._get_model_file,
            "_get_checkpoint_shard_files": hub_utils._get_checkpoint_shard_files,
            "logger": utils.logging.get_logger("diffusers"),
        }
        self.finding = statements(
            "diffusers",
            "models/modeling_utils.py",
            "ModelMixin.from_pretrained",
            "is_sharded = False",
            "if resolved_model_file is None and (not is_sharded)",
        )

    def opened(self, folder: Path, variant: str, *, use_safetensors: bool = True) -> list[str]:
        """The weights that a class of models opens in a folder."""
        names: tuple[str, ...] = (
            "cache_dir",
            "force_download",
            "proxies",
            "local_files_only",
            "token",
        )
        names += ("revision", "subfolder", "user_agent", "commit_hash")
        given: dict[str, Any] = dict.fromkeys(names)
        given |= {"pretrained_model_name_or_path": str(folder), "variant": variant or None}
        given |= {"use_safetensors": use_safetensors, "allow_pickle": True, "use_flashpack": False}
        space = {**self.around, **given}
        try:
            exec(self.finding, space)  # noqa: S102 - the loader's own statements are the oracle
        except OSError:
            return []
        found = space["resolved_model_file"]
        return [str(path) for path in (found if isinstance(found, list) else [found])]


def test_components_are_opened_as_the_loader_opens_them(tmp_path: Path) -> None:
    loader, compatible = _Loader(), 0
    mixed = complete = 0
    for seed in range(FOLDERS):
        contents = _pipeline(random.Random(seed))
        root = empty_folder(tmp_path / "model")
        files = written(root, contents)
        taken = plan(files, ())
        assert taken
        config = contents["model_index.json"]
        models = [name for name in CLASSES if name in config and f"{name}/config.json" in contents]
        filled = [name for name in models if _has_weights(files, name)]
        variant = next((chosen for chosen in taken.variants if chosen), "")
        variants = loader.pipeline["_identify_model_variants"](str(root), variant or None, config)
        expected, absent = [], []
        for name in models:
            chosen = variants.get(name, "")
            if name == "text_encoder":
                part = checkpoint(Folder.of(files, f"{name}/"), chosen)
                found, lacks = [*part.weights], [*part.missing]
            else:
                paths = loader.opened(root / name, chosen)
                found = [relative(root, path) for path in paths]
                lacks = []
            expected += found
            absent += lacks if found or lacks else [name]
        assert [name for name in taken.weights if name in expected] == expected, seed
        # Of a class that comes with the model nobody knows whether it has weights.
        own = {"unet/diffusers.py"} & files.names if "unet" in config else set()
        needed = {_component(name) for name in absent} - {_component(name) for name in own}
        assert needed <= {_component(name) for name in taken.missing}, seed
        assert {_component(name) for name in taken.missing} <= {*map(_component, absent)}, seed
        fetched_safe = loader.pipeline["is_safetensors_compatible"](
            files.names, folder_names=filled, variant=variant or None
        )
        # Where a shard is missing the loader opens none, and a plan names those that are there.
        failing = {_component(name) for name in absent}
        others = {name for name in taken.weights if _component(name) not in failing}
        beyond = others - set(expected)
        assert all(name.endswith(".bin") for name in beyond), seed
        if fetched_safe:
            assert not beyond, seed
        compatible += bool(fetched_safe and filled)
        code = set(taken.code)
        path, _ = loader.pipeline["_resolve_custom_pipeline_and_cls"](str(root), config, None)
        assert path is None or relative(root, path) in code, seed
        assert code <= {"own.py", "None.py", *own}, seed
        assert own <= code, seed
        mixed += len(taken.variants) > 1
        complete += not taken.missing
    assert min(compatible, FOLDERS - compatible, mixed, complete, FOLDERS - complete) > 10


def _component(name: str) -> str:
    return name.partition("/")[0]


def _has_weights(files: ModelFiles, name: str) -> bool:
    endings = (".bin", ".safetensors")
    return any(n.startswith(f"{name}/") and n.endswith(endings) for n in files.names)


def test_pickles_are_opened_where_no_safetensors_was_fetched(tmp_path: Path) -> None:
    loader, tried = _Loader(), 0
    for seed in range(FOLDERS):
        contents = _pipeline(random.Random(seed))
        root = empty_folder(tmp_path / "model")
        files = written(root, contents)
        taken = plan(files, ())
        assert taken
        config = contents["model_index.json"]
        named = [name for name in ("unet", "vae", "text_encoder") if name in config]
        filled = [name for name in named if _has_weights(files, name)]
        is_safe = loader.pipeline["is_safetensors_compatible"]
        if not filled or any(taken.variants) or is_safe(files.names, folder_names=filled):
            continue
        # What the loader fetches then: everything but safetensors.
        for name in list(contents):
            if ".safetensors" in name:
                os.unlink(root / name)
        for name in ("unet", "vae"):
            if name in config:
                with contextlib.suppress(OSError):
                    paths = loader.opened(root / name, "")
                    assert {relative(root, path) for path in paths} <= set(taken.weights), seed
                    tried += len(paths)
    assert tried > FOLDERS / 10


def test_libraries_are_the_modules_of_pipelines_with_models() -> None:
    import diffusers

    root = Path(diffusers.__file__).parent / "pipelines"
    found = set()
    for path in root.rglob("*.py"):
        if re.search(
            r"^class \w+\(.*(ModelMixin|PreTrainedModel)\b", path.read_text(), re.MULTILINE
        ):
            found.add(path.parent.name)
    assert found == PIPELINE_LIBRARIES
