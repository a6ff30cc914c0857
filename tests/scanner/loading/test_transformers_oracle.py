"""Plans of transformers against what its own functions open in 300 random folders each."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner.loading.chat_templates import chat_templates
from prefect_mutagen.scanner.loading.checkpoints import EXTRA_WEIGHTS, checkpoint
from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.transformers import VOCABULARIES, component, plan
from tests.scanner.loading.loader_source import (
    empty_folder,
    functions,
    opened_files,
    relative,
    without_network,
    written,
)

FOLDERS = 300
pytestmark = pytest.mark.filterwarnings("ignore")  # the loader's own: files left open, and the like
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
}


@pytest.fixture(scope="module", autouse=True)
def _loader() -> Iterator[None]:
    with without_network("transformers"):
        yield


def _some(chance: random.Random, contents: dict[str, Any], share: float = 0.5) -> dict[str, Any]:
    return {name: content for name, content in contents.items() if chance.random() < share}


def _index(chance: random.Random, ending: str) -> dict[str, Any]:
    names = (
        f"model-00001-of-00002{ending}",
        f"model-00002-of-00002{ending}",
        f"./x{ending}",
        f"sub/x{ending}",
        f"sub/../y{ending}",
        f"../z{ending}",
        f"/tmp/absolute{ending}",  # noqa: S108 - is never opened
        f"gone{ending}",
    )
    chosen = chance.sample(names, chance.randrange(1, 4))
    return {"metadata": {}, "weight_map": {f"t{i}": name for i, name in enumerate(chosen * 2)}}


def _weights(chance: random.Random) -> dict[str, Any]:
    explicit = ("sub/x.safetensors", "other.safetensors.index.json", "x.bin", "../z.safetensors")
    config: dict[str, Any] = {"model_type": chance.choice(("llama", "jev"))}
    if chance.random() < 0.15:
        config["transformers_weights"] = chance.choice(explicit)
    return {
        **_some(chance, {"config.json": config}, 0.9),
        **_some(
            chance,
            {
                "model.safetensors": "",
                "model.safetensors.index.json": _index(chance, ".safetensors"),
                "pytorch_model.bin": "",
                "pytorch_model.bin.index.json": _index(chance, ".bin"),
                "model.fp16.safetensors": "",
                "model.safetensors.index.fp16.json": _index(chance, ".safetensors"),
                "pytorch_model.fp16.bin": "",
                "head.safetensors": "",
                "adapter_config.json": {"base_model_name_or_path": "acme/base"},
                "adapter_model.safetensors": "",
                "adapter_model.bin": "",
            },
            0.3,
        ),
        **_some(
            chance,
            {
                **{f"model-0000{i}-of-00002.safetensors": "" for i in (1, 2)},
                "other.safetensors.index.json": _index(chance, ".safetensors"),
                "x.safetensors": "",
                "sub/x.safetensors": "",
                "y.safetensors": "",
                "x.bin": "",
            },
            0.8,
        ),
        **_some(chance, {"shard-00000-model-00001-of-00001.safetensors": ""}, 0.05),
    }


def _resolver() -> Any:
    from transformers import utils
    from transformers.utils import hub

    names = ("_add_variant", "_get_resolved_checkpoint_files")
    around = {name: getattr(utils, name) for name in dir(utils) if name.isupper()}
    around |= {"get_checkpoint_shard_files": hub.get_checkpoint_shard_files, "DownloadKwargs": dict}
    around |= {"logger": utils.logging.get_logger("transformers")}
    loader = functions("transformers", "modeling_utils.py", *names, **around)
    return loader["_get_resolved_checkpoint_files"]


def _opened_weights(
    resolve: Any, root: Path, config: dict[str, Any], variant: str
) -> tuple[list[str], bool]:
    """The weights that transformers opens by its own functions, and whether it refuses."""
    from transformers.distributed.checkpoint import is_sharded_checkpoint

    if is_sharded_checkpoint(root):
        return sorted(n for n in os.listdir(root) if n.endswith(".safetensors")), False
    try:
        paths, _ = resolve(
            pretrained_model_name_or_path=str(root),
            variant=variant or None,
            gguf_file=None,
            use_safetensors=None,
            user_agent=None,
            is_remote_code=False,
            transformers_explicit_filename=config.get("transformers_weights"),
        )
    except (OSError, ValueError):
        return [], True
    found = [relative(root, path) for path in paths]
    extra = EXTRA_WEIGHTS.get(config.get("model_type", ""), ())
    return found + [n for n in extra if (root / n).is_file() and n not in found], False


@pytest.mark.parametrize("variant", ["", "fp16"])
def test_weights_are_those_that_the_loader_opens(tmp_path: Path, variant: str) -> None:
    refused, resolve = 0, _resolver()
    for seed in range(FOLDERS):
        contents = _weights(random.Random(seed))
        root = empty_folder(tmp_path / "model")
        files = written(root, contents)
        (root / "keep").write_text("")
        with opened_files(root) as opened:
            expected, fails = _opened_weights(
                resolve, root, contents.get("config.json", {}), variant
            )
        taken = checkpoint(Folder.of(files), variant)
        refused += fails
        if fails:
            # Nothing, or a name that it refuses; beside it at most what the class names itself.
            assert set(taken.weights) <= {"head.safetensors"}, seed
            continue
        outside = [name for name in expected if name.startswith("..")]
        inside = list(dict.fromkeys(name for name in expected if name not in outside))
        assert list(taken.weights) == [name for name in inside if name in files.names], seed
        assert set(taken.missing) == set(inside) - files.names, seed
        assert len(taken.outside) == len(outside), seed
        assert set(opened) <= set(taken.files), seed
    assert FOLDERS / 10 < refused < FOLDERS * 0.9


def test_the_base_of_an_adapter_is_where_the_loader_looks_for_it(tmp_path: Path) -> None:
    from transformers import utils

    around = {"is_peft_available": lambda: True, "DownloadKwargs": dict}
    around |= {"find_adapter_config_file": utils.find_adapter_config_file}
    around |= {"CONFIG_NAME": utils.CONFIG_NAME}
    loader = functions("transformers", "integrations/peft.py", "maybe_load_adapters", **around)
    seen = set()
    for seed in range(FOLDERS):
        contents = _weights(random.Random(seed))
        # With files of ranks, everything that ends in .safetensors is opened.
        contents = {name: text for name, text in contents.items() if not name.startswith("shard-")}
        root = empty_folder(tmp_path / "model")
        files = written(root, contents)
        adapter, base, _ = loader["maybe_load_adapters"](str(root), {})
        taken = component(Folder.of(files))
        added = {name for name in taken.weights if name.startswith("adapter_model")}
        assert bool(adapter) == ("adapter_config.json" in taken.files), seed
        assert adapter or not added, seed
        local = checkpoint(Folder.of(files))
        if base == str(root):
            assert set(local.weights) <= set(taken.weights), seed
        else:
            assert set(taken.weights) == added, seed
        seen.add((bool(adapter), base == str(root)))
    assert seen == {(False, True), (True, True), (True, False)}


def _template(chance: random.Random, text: str) -> Any:
    return chance.choice(
        (
            text,
            {"default": f"{text} default", "tool_use": f"{text} tool_use"},
            [{"name": n, "template": f"{text} {n}"} for n in ("rag", "default")],
            None,
        )
    )


def _processing(chance: random.Random) -> dict[str, Any]:
    config = {"chat_template": _template(chance, "of the tokenizer's config")}
    config |= _some(chance, {"added_tokens_decoder": {}, "processor_class": "X"}, 0.3)
    if chance.random() < 0.1:
        config["fast_tokenizer_files"] = ["tokenizer.4.0.0.json", "tokenizer.99.0.0.json"]
    special: dict[str, Any] = {"unk_token": "[UNK]"}
    special |= _some(chance, {"chat_template": "of the special tokens"}, 0.3)
    processor = {"chat_template": chance.choice((None, "of the processor", {"default": "p d"}))}
    additional = ("default", "tool_use", "rag")
    return {
        "tokenizer.json": TOKENIZER,
        "tokenizer.4.0.0.json": TOKENIZER,
        **_some(
            chance,
            {
                "config.json": {"model_type": "llama"},
                "generation_config.json": {},
                "tokenizer_config.json": config,
                "special_tokens_map.json": special,
                "added_tokens.json": {"b": 2},
                "chat_template.jinja": "raw",
                "preprocessor_config.json": {"chat_template": "of nobody"},
            },
        ),
        **_some(chance, {"chat_template.json": {"chat_template": "legacy"}}, 0.3),
        **_some(chance, {"processor_config.json": processor}, 0.3),
        **_some(
            chance, {f"additional_chat_templates/{n}.jinja": f"more {n}" for n in additional}, 0.2
        ),
    }


def _text_at(place: str, contents: dict[str, Any]) -> Any:
    if place in contents:
        return contents[place]
    path, _, key = place.partition(":")
    value, name = contents[path]["chat_template"], key.partition(".")[2]
    if isinstance(value, list):
        (value,) = (entry["template"] for entry in value if entry["name"] == name)
        return value
    return value[name] if name else value


def _rendered(template: Any) -> list[Any]:
    """Texts of a loaded template, the one that is rendered by default first."""
    if not isinstance(template, dict):
        return [] if template is None else [template]
    return sorted(template.values(), key=lambda text: text != template.get("default"))


def test_templates_are_those_that_the_loader_renders(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast
    from transformers.processing_utils import ProcessorMixin

    kinds, refused = set(), 0
    for seed in range(FOLDERS):
        contents = _processing(random.Random(seed))
        root = empty_folder(tmp_path / "model")
        files = written(root, contents)
        with opened_files(root) as opened:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(str(root)).chat_template
            try:
                processor, _ = ProcessorMixin.get_processor_dict(str(root))
            except ValueError:  # a legacy template beside additional ones
                processor, refused = {}, refused + 1
        taken = component(Folder.of(files))
        places = list(chat_templates(Folder.of(files)))
        assert list(taken.templates) == places
        texts = [_text_at(place, contents) for place in places]
        by_tokenizer, by_processor = _rendered(tokenizer), _rendered(processor.get("chat_template"))
        assert set(texts) == {*by_tokenizer, *by_processor}, seed
        stated = any(
            isinstance(content, dict) and content.get("processor_class")
            for content in contents.values()
        )
        first = (by_processor or by_tokenizer) if stated else (by_tokenizer or by_processor)
        # Without one named "default", none is rendered unless it is asked for by its name.
        if first and (
            len(first) == 1 or "default" in str(places[0]) or "chat_template.jinja" in places
        ):
            assert texts[0] == first[0], seed
        assert set(opened) <= set(taken.opened()), seed
        kinds |= {place.partition(":")[0].rpartition("/")[2] for place in places}
    assert refused
    assert len(kinds) == 8, kinds


def test_configs_are_those_that_the_loader_opens(tmp_path: Path) -> None:
    from transformers import GenerationConfig
    from transformers.configuration_utils import PreTrainedConfig
    from transformers.image_processing_base import ImageProcessingMixin

    for seed in range(FOLDERS):
        chance = random.Random(seed)
        versions = chance.sample(("4.0.0", "5.1.0", "9.9.9"), chance.randrange(4))
        config = {
            "model_type": "llama",
            "configuration_files": [f"config.{v}.json" for v in versions],
        }
        contents = {
            "config.json": config,
            **{f"config.{v}.json": {"model_type": "llama"} for v in ("4.0.0", "5.1.0", "9.9.9")},
            **_some(
                chance,
                {
                    "generation_config.json": {"max_length": 5},
                    "preprocessor_config.json": {"image_processor_type": "X"},
                    "processor_config.json": {"image_processor": {"a": 1}},
                    "model.safetensors": "",
                },
            ),
        }
        root = empty_folder(tmp_path / "model")
        files = written(root, contents)
        with opened_files(root) as opened:
            PreTrainedConfig.get_config_dict(str(root))
            for loader in (
                GenerationConfig.from_pretrained,
                ImageProcessingMixin.get_image_processor_dict,
            ):
                try:
                    loader(str(root))
                except OSError:
                    continue
        taken = component(Folder.of(files))
        assert set(opened) <= set(taken.files), seed
        unopened = set(taken.files) - set(opened) - {"preprocessor_config.json"}
        assert unopened <= {f"config.{version}.json" for version in versions}, seed


MODULE = "class Code:\n    file = {!r}\n"


def test_code_is_what_the_loader_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    names = ("a", "b", "sub/c", "gone", "two.levels", "acme/other--d")
    places = ("config.json", "tokenizer_config.json", "processor_config.json")
    ran = 0
    for seed in range(FOLDERS):
        chance = random.Random(seed)
        contents: dict[str, Any] = {
            f"{n}.py": MODULE.format(f"{n}.py") for n in ("a", "b", "sub/c")
        }
        references = []
        for place in chance.sample(places, chance.randrange(1, 4)):
            found = [f"{name}.Code" for name in chance.sample(names, chance.randrange(1, 4))]
            contents[place] = {"auto_map": {"AutoX": found if len(found) > 1 else found[0]}}
            references += found
        contents["model.safetensors"] = ""
        root = empty_folder(tmp_path / "model")
        files = written(root, contents)
        taken = plan(files, ("model.safetensors",))
        assert taken
        run = set()
        for reference in references:
            try:
                code = dynamic_module_utils.get_class_from_dynamic_module(reference, str(root))
            except (OSError, ValueError):
                continue
            run.add(code.file)
        assert set(taken.code) == run, seed
        ran += len(run)
    assert ran > FOLDERS


def test_vocabularies_are_the_classes() -> None:
    import transformers

    root = Path(transformers.__file__).parent
    names = set()
    for path in [*root.glob("models/*/tokenization_*.py"), *root.glob("tokenization_utils*.py")]:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(("VOCAB_FILES_NAMES = {", "TOKENIZER_FILE", "TIKTOKEN_VOCAB_FILE")):
                names |= {word for word in line.replace("'", '"').split('"') if "." in word}
    known = {*VOCABULARIES, "tokenizer.json", "tokenizer_config.json"}
    assert len(names) > 10
    assert names <= known
