"""Plans that are remembered are those that would be made."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefect_mutagen.scanner.loading import diffusers, llama_cpp, mlx, ollama, transformers, vllm
from prefect_mutagen.scanner.loading.plan import LoadPlan, ModelFiles
from prefect_mutagen.scanner.loading.plan_memory import PlanMemory

WEIGHTS = ("model.safetensors",)
NAMES = (
    *("config.json", "tokenizer_config.json", "modules.json", "model_index.json", "m.py"),
    *("adapter_config.json", "processor_config.json", "chat_template.json", "chat_template.jinja"),
    *("other.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "a/model.safetensors"),
)
VALUES: dict[str, list[Any]] = {
    "auto_map": [{"AutoModel": "m.X"}, {"AutoModel": "o/r--m.X"}, ["m.Y"], 7],
    "chat_template": ["{{ x }}", [{"name": "default", "template": "x"}], {"a": "x"}],
    "transformers_weights": ["other.safetensors", "../x.safetensors"],
    "model_type": ["llama", "whisper"],
    "processor_class": ["P"],
    "model_file": ["m.py"],
    "quantization_config": [{}],
    "_class_name": ["P", ["m", "P"]],
    "a": [["diffusers", "AutoencoderKL"], ["m", "X"], [None, None]],
    "unread": ["x", "y", 1, True],
}
DOCUMENT = st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(0, 3)).map(
    lambda chosen: {key: VALUES[key][number % len(VALUES[key])] for key, number in chosen.items()}
)
MODULES = st.sampled_from(
    [[], [{"path": "a", "type": "m.X"}], [{"path": "", "type": "sentence_transformers.models.T"}]]
)


@st.composite
def models(draw: st.DrawFn) -> ModelFiles:
    names = {*WEIGHTS, *draw(st.sets(st.sampled_from(NAMES), max_size=6))}
    documents: dict[str, Any] = {
        name: draw(MODULES if name == "modules.json" else DOCUMENT)
        for name in sorted(names)
        if name.endswith(".json") and draw(st.booleans())
    }
    return ModelFiles(frozenset(names), documents)


def _make(files: ModelFiles, weights: tuple[str, ...]) -> tuple[LoadPlan, ...]:
    loaders = (transformers, diffusers, llama_cpp, ollama, vllm, mlx)
    plans = (loader.plan(files, weights) for loader in loaders)
    return tuple(plan for plan in plans if plan is not None)


@given(st.lists(models(), min_size=2, max_size=12))
def test_a_remembered_plan_is_the_one_that_would_be_made(several: list[ModelFiles]) -> None:
    memory = PlanMemory()
    for files in several:
        assert memory.plan(files, WEIGHTS, _make) == _make(files, WEIGHTS)


def _config(**values: Any) -> ModelFiles:
    return ModelFiles(frozenset({"config.json", *WEIGHTS}), {"config.json": values})


def test_what_is_not_read_makes_no_difference() -> None:
    made: list[ModelFiles] = []

    def make(files: ModelFiles, weights: tuple[str, ...]) -> tuple[LoadPlan, ...]:
        made.append(files)
        return _make(files, weights)

    memory = PlanMemory()
    for number in range(3):
        memory.plan(_config(model_type="llama", vocab_size=number), WEIGHTS, make)
    assert len(made) == 1
    memory.plan(_config(model_type="llama", auto_map={"AutoModel": "m.X"}), WEIGHTS, make)
    assert len(made) == 2


def test_it_is_bounded() -> None:
    memory = PlanMemory()
    for number in range(500):
        names = frozenset({f"{number}.json", *WEIGHTS})
        memory.plan(ModelFiles(names), WEIGHTS, _make)
        memory.plan(_config(model_type=str(number)), WEIGHTS, _make)
        memory.plan(_config(model_type="x" * 100_000 + str(number)), WEIGHTS, _make)
    assert len(memory._known) <= 64
    assert max(len(kept) for kept in memory._known.values()) <= 4
    texts = [read.value for kept in memory._known.values() for reads, _ in kept for read in reads]
    assert max(len(str(text)) for text in texts) < 100_000
