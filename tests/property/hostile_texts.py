"""Texts as strangers may put them beside a model: any tag, number, encoding and depth."""

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["CARD_KEYS", "JSON_KEYS", "cards", "encoded", "json_texts", "yaml_values"]

TAGS = (
    *("str", "int", "float", "bool", "null", "timestamp", "binary", "set", "omap", "pairs"),
    *("seq", "map", "merge", "value", "python/object/apply:os.system", "python/tuple", "x"),
)
CARD_KEYS = (
    *("license", "license_name", "license_link", "base_model", "base_model_relation", "tags"),
    *("language", "datasets", "library_name", "pipeline_tag", "a", "<<", "? x", "~", "2.0"),
)
JSON_KEYS = {
    "config.json": (
        *("vocab_size", "max_position_embeddings", "text_config", "model_type", "torch_dtype"),
        *("architectures", "license", "_name_or_path", "rope_scaling", "type", "factor"),
        *("original_max_position_embeddings", "num_experts", "moe_topk", "_diffusers_version"),
        *("quantization_config", "quant_method", "bits", "config_groups", "weights", "num_bits"),
    ),
    "tokenizer_config.json": ("chat_template", "template", "tokenizer_class", "torch_dtype"),
    "generation_config.json": ("do_sample", "temperature", "top_k", "top_p", "max_length"),
    "adapter_config.json": ("peft_type", "r", "lora_alpha", "base_model_name_or_path"),
    "model.safetensors.index.json": ("weight_map", "metadata", "total_size", "a", "b"),
}
"""Keys that are looked for in each file."""
_ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1")

_lengths = st.sampled_from([1, 2, 15, 19, 20, 39, 310, 400, 4299, 4300, 4301, 6000])
_signs = st.sampled_from(["", "-", "+"])


def _numbers(digits: str) -> st.SearchStrategy[str]:
    """Numbers of any length in one set of digits."""
    letters = st.text(st.sampled_from(digits), min_size=1, max_size=3)
    return st.builds(lambda part, count: (part * count)[:count], letters, _lengths)


_yaml_numbers = st.one_of(
    st.builds("{}{}".format, _signs, _numbers("0123456789")),
    st.builds("{}0x{}".format, _signs, _numbers("0123456789abcdef_")),
    st.builds("{}0b{}".format, _signs, _numbers("01_")),
    st.builds("{}0o{}".format, _signs, _numbers("01234567")),
    st.builds("{}{}:{}".format, _signs, _numbers("0123456789"), st.just("1:" * 200 + "1.0")),
    st.builds("{}{}e{}".format, _signs, _numbers("0123456789."), _numbers("0123456789")),
    st.sampled_from([".inf", "-.INF", ".nan", "1_000.5", "190:20:30", "1:" * 400 + "1.0", "0x"]),
)
_yaml_words = st.sampled_from(
    [
        *("no", "yes", "on", "true", "False", "null", "~", "", "2026-99-99", "0000-00-00"),
        *("2001-12-14t21:59:43.10-99:99", "9999-12-31 23:59:59 -24:00", "=", "<<", "mit", "2.0"),
        *('"\\ud800"', '"\\U0010ffff"', '"\\UFFFFFFFF"', "'it''s'", "|\n  text", "*x", "&x y"),
        *("? [a, b]\n  : c", "%YAML 9.9", "@", "`", "\x00", "\x1b", "\x85", "\ufeff", "\u2028"),
    ]
)
_yaml_scalars = st.one_of(
    _yaml_words, _yaml_numbers, st.text(max_size=12), st.text(max_size=12).map(json.dumps)
)


def _tagged(text: str, tag: str, prefix: str) -> str:
    return f"{prefix}{tag} {text}" if prefix else text


def yaml_values(deepest: int = 5000) -> st.SearchStrategy[str]:
    """A value of a block in YAML, well formed or not."""
    scalars = st.builds(
        _tagged, _yaml_scalars, st.sampled_from(TAGS), st.sampled_from(["", "!!", "!", "!e!"])
    )
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda parts: f"[{', '.join(parts)}]"),
            st.lists(st.tuples(inner, inner), max_size=3).map(
                lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
            ),
            st.builds(_tagged, inner, st.sampled_from(TAGS), st.sampled_from(["!!", "!"])),
            st.builds(
                lambda text, depth: "[" * depth + text, inner, st.sampled_from([31, deepest])
            ),
        ),
        max_leaves=6,
    )


def cards() -> st.SearchStrategy[str]:
    """A README.md with a block at its top."""
    line = st.builds("{}: {}".format, st.sampled_from(CARD_KEYS), yaml_values())
    return st.lists(line | yaml_values(), max_size=5).map(
        lambda lines: "---\n" + "\n".join(lines) + "\n---\n# A model\n"
    )


_json_numbers = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["", "-"]), _numbers("123456789")),
    st.builds("{}e{}".format, _numbers("123456789"), st.sampled_from(["0", "308", "999", "-999"])),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e308", "-0.0", "1.5"]),
)
_json_texts = st.one_of(
    st.text(max_size=12).map(json.dumps),
    st.text(max_size=12).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(['"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"a\\u001b[31m"', '"/home/x"']),
    st.sampled_from(['"org/model"', '"awq"', '"bitsandbytes"', '"{{ x.__class__ }}"', '"../x"']),
)


def json_texts(name: str = "config.json") -> st.SearchStrategy[str]:
    """A text in JSON, well formed for the most part, with the keys that a file has."""
    known = (*JSON_KEYS.get(name, JSON_KEYS["config.json"]), "\ud800", "")
    keys = st.sampled_from(known) | st.text(max_size=3)
    value = st.recursive(
        _json_numbers | _json_texts | st.sampled_from(["true", "false", "null", "[]", "{}", "x"]),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda parts: f"[{','.join(parts)}]"),
            _objects(keys, inner),
            st.builds(
                lambda text, depth: "[" * depth + text + "]" * depth,
                inner,
                st.sampled_from([3, 900, 100_000]),
            ),
        ),
        max_leaves=8,
    )
    return _objects(keys, value) | _objects(keys, _json_numbers) | value


def _objects(
    keys: st.SearchStrategy[str], values: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(keys.map(json.dumps), values), max_size=6)  # a key may stand twice
    return pairs.map(lambda listed: "{" + ",".join(f"{key}:{one}" for key, one in listed) + "}")


@st.composite
def encoded(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """A text in any encoding, whole or cut, or bytes that are none."""
    choice: Any = draw(st.sampled_from([*_ENCODINGS, "cut", "bytes"]))
    if choice == "bytes":
        return draw(st.binary(max_size=60))
    text = draw(texts)
    if choice == "cut":
        return text.encode("utf-8", "surrogatepass")[: draw(st.integers(0, len(text)))]
    try:
        return text.encode(choice, "surrogatepass")
    except UnicodeEncodeError:
        return text.encode(choice, "replace")
