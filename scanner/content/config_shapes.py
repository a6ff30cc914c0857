"""Compare config.json with the shapes of the weights beside it, as transformers would on loading.

transformers builds the model that config.json describes and fills it by name
(``PreTrainedModel.from_pretrained`` in ``modeling_utils.py``). It refuses a tensor of another shape
(``ignore_mismatched_sizes`` is False by default). A tensor that is missing is initialized at
random, and one that the model has no place for is left out, both with a warning in a log.

What is compared: embeddings and output head with vocabulary and hidden size, the layers' number,
the feed-forward width, the heads of common architectures. Each number must stand in the
configuration itself, because defaults differ by architecture. A size that any related key explains
is no mismatch.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from prefect_mutagen.parsers import TensorInfo
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.parsers.tensor import TensorTable
from prefect_mutagen.scanner.content.facts import plain_text
from prefect_mutagen.scanner.content.quantization import Quantization

__all__ = ["Mismatch", "check_config", "is_loaded_by_config"]

_FILE: Final = re.compile(r"model(\.\w+)?\.safetensors")
_SET: Final = re.compile(r"model(\.\w+)?\.safetensors\.index(\.\w+)?\.json|model-\d+-of-\d+\..+")
_EMBEDDING: Final = re.compile(
    r"(?P<base>(?:.*\.)?)(?:embeddings\.)?"
    r"(?:embed_tokens|wte|word_embeddings|embed_in|tok_embeddings|token_embedding)\.weight"
    r"|(?P<shared>(?:model\.|transformer\.)?)shared\.weight"
    r"|(?P<mamba>(?:.*\.)?backbone\.)embeddings?\.weight"
)
_EMBEDDING_ENDS: Final = (
    *("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight"),
    *("tok_embeddings.weight", "token_embedding.weight", "shared.weight"),
    *("backbone.embeddings.weight", "backbone.embedding.weight"),
)
_LAYER: Final = re.compile(r"(.*?\b(?:layers|layer|blocks|block|h)\.)(\d{1,6})\.")
_STACKS: Final = (
    *("layers.", "h.", "block.", "blocks.", "layer.", "encoder.layer.", "encoder.layers."),
    *("decoder.layers.", "encoder.block.", "decoder.block.", "transformer.layer."),
)
# Parts of names that belong to other parts of a model than its text.
_OTHER_PARTS: Final = (
    *("vision", "visual", "image", "audio", "speech", "codec", "code_", "talker", "token2wav"),
    *("qformer", "perceiver", "resampler", "projector", "connector", "mtp", "depth_decoder"),
)
_TEXT_KEYS: Final = ("text_config", "llm_config", "language_config", "thinker_config")
_HIDDEN_KEYS: Final = ("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "model_dim")
_VOCABULARY_KEYS: Final = ("vocab_size", "n_vocab", "n_words")
_MULTIPLE_KEYS: Final = ("pad_vocab_size_multiple", "pad_vocab_size_multiple_of")
_LAYER_KEYS: Final = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    *("encoder_layers", "decoder_layers", "num_encoder_layers", "num_decoder_layers"),
)
# Their embeddings have more rows than the vocabulary, or their layers differ among each other.
_ODD_TYPES: Final = frozenset({"moshi", "musicgen", "musicgen_melody", "parler_tts", "bark", "dia"})
_ODD_KEYS: Final = ("block_configs", "num_codebooks", "encoder", "decoder")
# Architectures whose keys and values have num_key_value_heads of hidden_size / heads each.
_PLAIN_HEADS: Final = frozenset({"llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "granite"})
_POSITIONS: Final = frozenset({"gpt2", "bert", "roberta", "xlm-roberta", "distilbert", "electra"})
_MOST_LAYERS: Final = 1 << 16
_DEPTH: Final = 4
_WIDE: Final = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


class Mismatch(NamedTuple):
    """What config.json says and the weights do not."""

    code: str
    """Code of the finding."""
    message: str
    field: str
    """The key of config.json."""


def is_loaded_by_config(name: str, *, of_set: bool = False) -> bool:
    """Whether transformers loads a file of this name by config.json.

    Args:
        name: Name of a file; of a set, that of its index or of its first shard.
        of_set: Whether it is a set.
    """
    return (_SET if of_set else _FILE).fullmatch(name) is not None


def check_config(
    config: Mapping[str, Any],
    tables: Sequence[TensorTable],
    scheme: Quantization | None = None,
    *,
    complete: bool = True,
) -> Iterator[Mismatch]:
    """Compare a configuration with the tensors it is about.

    Args:
        config: Content of config.json in the folder of the weights.
        tables: Tensors of the file, or of all shards.
        scheme: How they are quantized.
        complete: Whether no shard is missing; otherwise absent tensors prove nothing.
    """
    text = _text_of(config)
    if text is None or not any(_numbers(text, (*_HIDDEN_KEYS, *_LAYER_KEYS))):
        return
    places = {
        name: _Place(table, number) for table in tables for number, name in enumerate(table.names())
    }
    if any("lora_" in name for name in places):
        return
    model = _Model(config, text, places, scheme)
    yield from model.check_shapes()
    if complete and places:
        yield from model.check_presence()


def _text_of(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part of a configuration that describes the text model; None if it is unclear."""
    for _ in range(_DEPTH):
        nested = [config[key] for key in _TEXT_KEYS if isinstance(config.get(key), dict)]
        if not nested:
            break
        config = nested[0]
    odd = plain_text(config.get("model_type")) in _ODD_TYPES
    odd = odd or any(key in config for key in _ODD_KEYS)
    return None if odd or any(key.endswith("_per_layer") for key in config) else config


class _Place(NamedTuple):
    """Where a tensor stands; its record is made on demand."""

    table: TensorTable
    number: int

    def tensor(self) -> TensorInfo:
        return self.table[self.number]


def _numbers(values: Mapping[str, Any], keys: Iterable[str]) -> Iterator[int]:
    for key in keys:
        value = values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            yield value


def _related(values: Mapping[str, Any], *parts: str) -> set[int]:
    """Return the numbers under all keys that contain one of the parts."""
    return set(_numbers(values, [key for key in values if any(part in key for part in parts)]))


class _Model:
    """A configuration and the tensors beside it."""

    def __init__(
        self,
        config: Mapping[str, Any],
        text: Mapping[str, Any],
        places: Mapping[str, _Place],
        scheme: Quantization | None,
    ) -> None:
        self._config = config
        self._text = text
        self._places = places
        self._scheme = scheme
        self._kind = plain_text(text.get("model_type"))
        self._vocabulary = self._rows()
        self._hidden = set(_numbers(text, _HIDDEN_KEYS))
        if self._hidden:
            self._hidden |= set(_numbers(config, _HIDDEN_KEYS)) | _related(text, "embed", "emb_")
        self._bases = dict(self._embeddings())
        self._stacks = self._layers()

    def _rows(self) -> set[int]:
        """Return the sizes that an embedding may have; empty if the configuration has none."""
        text = self._text
        if not any(True for _ in _numbers(text, _VOCABULARY_KEYS)):
            return set()
        sizes = _related(text, "vocab", "n_words") | _related(self._config, "vocab")
        for multiple in _numbers(text, _MULTIPLE_KEYS):
            sizes |= {size + -size % multiple for size in sizes if multiple > 0}
        return sizes

    def _embeddings(self) -> Iterator[tuple[str, str]]:
        """Yield each text embedding, and the prefix that it shares with its layers."""
        for name in self._places:
            if name.endswith(_EMBEDDING_ENDS) and not any(part in name for part in _OTHER_PARTS):
                match = _EMBEDDING.fullmatch(name)
                if match is not None:
                    yield name, match["base"] or match["shared"] or match["mamba"] or ""

    def _layers(self) -> dict[str, set[int]]:
        """Return the numbers of the layers of each stack that belongs to an embedding."""
        wanted = {base + stack for base in self._bases.values() for stack in _STACKS}
        stacks: dict[str, set[int]] = {}
        for name in self._places if wanted else ():
            match = _LAYER.match(name)
            if match is not None and match[1] in wanted:
                stacks.setdefault(match[1], set()).add(int(match[2]))
        return stacks

    def check_shapes(self) -> Iterator[Mismatch]:
        """Compare sizes: what differs is refused by the loader."""
        for name in (*self._bases, "lm_head.weight"):
            yield from self._compare(name, self._vocabulary, self._hidden, _VOCABULARY_KEYS)
        inner = _related(self._text, "intermediate", "ffn")
        inner = inner if any(_numbers(self._text, ("intermediate_size",))) else set()
        keys: tuple[str, ...] = ("intermediate_size",)
        for stack, numbers in self._stacks.items():
            for number in {min(numbers), max(numbers)}:
                layer = f"{stack}{number}"
                yield from self._compare(f"{layer}.mlp.up_proj.weight", inner, self._hidden, keys)
                yield from self._compare(f"{layer}.mlp.gate_proj.weight", inner, self._hidden, keys)
                yield from self._compare(f"{layer}.mlp.down_proj.weight", self._hidden, inner, keys)
                yield from self._compare_heads(f"{layer}.self_attn")
        if self._kind in _POSITIONS:
            sizes = _related(self._text, "position", "n_ctx")
            for name in self._places:
                if name.endswith(("wpe.weight", "embeddings.position_embeddings.weight")):
                    keys = ("n_positions", "max_position_embeddings")
                    yield from self._compare(name, sizes, self._hidden, keys)

    def _compare_heads(self, layer: str) -> Iterator[Mismatch]:
        text = self._text
        heads = next(_numbers(text, ("num_attention_heads",)), 0)
        hidden = next(_numbers(text, ("hidden_size",)), 0)
        if self._kind not in _PLAIN_HEADS or heads < 1 or not hidden:
            return
        size = next(_numbers(text, ("head_dim",)), hidden // heads)
        groups = next(_numbers(text, ("num_key_value_heads",)), heads)
        for part, count, key in (
            ("q_proj", heads, "num_attention_heads"),
            ("k_proj", groups, "num_key_value_heads"),
            ("v_proj", groups, "num_key_value_heads"),
        ):
            yield from self._compare(f"{layer}.{part}.weight", {count * size}, {hidden}, (key,))

    def _compare(
        self, name: str, rows: set[int], columns: set[int], keys: tuple[str, ...]
    ) -> Iterator[Mismatch]:
        place = self._places.get(name)
        tensor = None if place is None else place.tensor()
        shape = self._shape(tensor) if tensor is not None and tensor.parameters else None
        if tensor is None or shape is None:
            return
        wrong = [
            size for size, sizes in zip(shape, (rows, columns), strict=True)
            if size is not None and sizes and size not in sizes
        ]  # fmt: skip
        if wrong:
            stated = ", ".join(self._stated((*keys, *_HIDDEN_KEYS)))
            held = " x ".join(map(str, tensor.shape))
            message = f"config.json states {stated}; the shape of {shown(name)} is {held}"
            field = next(key for key in (*keys, *_HIDDEN_KEYS) if key in self._text)
            yield Mismatch("safetensors/config-mismatch", message, field)

    def _stated(self, keys: Iterable[str]) -> Iterator[str]:
        for key in keys:
            for value in _numbers(self._text, (key,)):
                yield f"{key} {value}"

    def _shape(self, tensor: TensorInfo) -> tuple[int, int | None] | None:
        """Return the shape of a matrix as it is unpacked; None if it is packed otherwise."""
        if tensor.dtype in _WIDE:
            return (tensor.shape[0], tensor.shape[1]) if len(tensor.shape) == 2 else None
        layer = tensor.name.removesuffix(".weight")
        if tensor.dtype != "U32" or self._scheme is None or len(tensor.shape) != 2:
            return None
        scales, size = self._places.get(f"{layer}.scales"), self._scheme.group_size_of(layer)
        if scales is None or size is None:
            return tensor.shape[0], None
        return tensor.shape[0], scales.tensor().shape[-1] * size

    def check_presence(self) -> Iterator[Mismatch]:
        """Find layers and an output head that are missing, and layers that are not used."""
        stated = set(_numbers(self._text, _LAYER_KEYS))
        predictors = sum(_related(self._text, "nextn", "mtp_num"))
        for stack, numbers in self._stacks.items():
            found = max(numbers) + 1
            fitting = [count for count in stated if count <= found <= count + predictors]
            key = next((key for key in _LAYER_KEYS if key in self._text), "")
            about = f"config.json states {', '.join(self._stated(_LAYER_KEYS))} for {shown(stack)}"
            most = min(max(fitting or stated, default=0), _MOST_LAYERS)
            missing = [number for number in range(most) if number not in numbers]
            if missing:
                some = ", ".join(map(str, missing[:4])) + (", …" if len(missing) > 4 else "")
                message = f"{about}; the file lacks layers ({some}), which start at random"
                yield Mismatch("safetensors/weights-missing", message, key)
            elif stated and not fitting:
                message = f"{about}; the file has {found} layers, and the last are not used"
                yield Mismatch("safetensors/weights-unused", message, key)
        yield from self._check_head()

    def _check_head(self) -> Iterator[Mismatch]:
        names = self._config.get("architectures")
        name = names[0] if isinstance(names, list) and names else ""
        untied = self._text is self._config and self._text.get("tie_word_embeddings") is False
        if (
            untied
            and isinstance(name, str)
            and name.endswith("ForCausalLM")
            and "model.embed_tokens.weight" in self._places
            and "model.layers." in self._stacks
            and not any("head" in one or "output" in one for one in self._places)
        ):
            message = "config.json states tie_word_embeddings false; there is no lm_head, which "
            message += "starts at random"
            yield Mismatch("safetensors/weights-missing", message, "tie_word_embeddings")
