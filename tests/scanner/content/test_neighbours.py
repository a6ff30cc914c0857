import json

import pytest

from prefect_mutagen.scanner.content.neighbours import Neighbours, read_neighbours


def _read(**files: str | bytes | dict[str, object]) -> Neighbours:
    names = {
        name.replace("_json", ".json").replace("README_md", "README.md"): data
        for name, data in files.items()
    }
    raw = {
        name: (
            f"/m/{name}",
            json.dumps(data).encode()
            if isinstance(data, dict)
            else data.encode()
            if isinstance(data, str)
            else data,
        )
        for name, data in names.items()
    }
    return read_neighbours(raw)


def _stated(neighbours: Neighbours, field: str) -> tuple[object, str] | None:
    stated = neighbours.before.get(field) or neighbours.behind.get(field)
    return None if stated is None else tuple(stated)


CARD = "---\nlicense: {}\n---\n# A model\n"


@pytest.mark.parametrize(
    ("files", "field", "value", "source"),
    [
        (
            {"config_json": {"model_type": "llama", "architectures": ["X"]}},
            "architecture",
            "llama",
            "config.json:model_type",
        ),
        (
            {"config_json": {"architectures": ["LlamaForCausalLM"]}},
            "architecture",
            "LlamaForCausalLM",
            "config.json:architectures",
        ),
        (
            {"config_json": {"torch_dtype": "bfloat16"}},
            "dtype",
            "bfloat16",
            "config.json:torch_dtype",
        ),
        ({"config_json": {"dtype": "float16"}}, "dtype", "float16", "config.json:dtype"),
        (
            {"config_json": {"max_position_embeddings": 8192}},
            "context_length",
            8192,
            "config.json:max_position_embeddings",
        ),
        (
            {"config_json": {"n_positions": 1024.0}},
            "context_length",
            1024,
            "config.json:n_positions",
        ),
        (
            {"config_json": {"text_config": {"max_position_embeddings": 9}}},
            "context_length",
            9,
            "config.json:text_config.max_position_embeddings",
        ),
        (
            {"config_json": {"text_config": {"vocab_size": 9}}},
            "vocab_size",
            9,
            "config.json:text_config.vocab_size",
        ),
        (
            {"config_json": {"vocab_size": True, "text_config": {"vocab_size": 9}}},
            "vocab_size",
            9,
            "config.json:text_config.vocab_size",
        ),
        (
            {"config_json": {"transformers_version": "4.40"}},
            "training_framework",
            "transformers 4.40",
            "config.json:transformers_version",
        ),
        (
            {"config_json": {"_class_name": "X", "_diffusers_version": "0.30"}},
            "training_framework",
            "diffusers 0.30",
            "config.json:_diffusers_version",
        ),
        (
            {"config_json": {"license": "mit"}, "README_md": CARD.format("gemma")},
            "license",
            "gemma",
            "README.md:license",
        ),
        ({"README_md": CARD.format("gemma")}, "license", "gemma", "README.md:license"),
        (
            {"README_md": CARD.format("[mit, apache-2.0]")},
            "license",
            "mit AND apache-2.0",
            "README.md:license",
        ),
        ({"README_md": "---\r\nlicense: mit\r\n---\r\n"}, "license", "mit", "README.md:license"),
        (
            {"README_md": b"\xef\xbb\xbf---\nlicense: mit\n---\n"},
            "license",
            "mit",
            "README.md:license",
        ),
        (
            {"README_md": "---\nbase_model: [org/a, org/b]\n---\n"},
            "base_model",
            "org/a",
            "README.md:base_model",
        ),
        (
            {"adapter_config_json": {"base_model_name_or_path": "org/base"}},
            "base_model",
            "org/base",
            "adapter_config.json:base_model_name_or_path",
        ),
        (
            {"config_json": {"_name_or_path": "org/base"}},
            "base_model",
            "org/base",
            "config.json:_name_or_path",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value else "",
)
def test_facts_and_their_sources(
    files: dict[str, object], field: str, value: object, source: str
) -> None:
    neighbours = _read(**files)  # type: ignore[arg-type]
    assert _stated(neighbours, field) == (value, source)
    assert neighbours.findings == ()


@pytest.mark.parametrize(
    "path",
    [
        "/home/someone/ckpt",
        "./out/final",
        "../base",
        "C:\\models\\x",
        "~/x",
        "a/b/c",
        "",
        7,
        None,
        ["/x"],
    ],
)
def test_paths_are_no_base_models(path: object) -> None:
    neighbours = _read(
        config_json={"_name_or_path": path}, adapter_config_json={"base_model_name_or_path": path}
    )
    assert _stated(neighbours, "base_model") is None


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON at character 1"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "in UTF-16"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' + b"9" * 5000 + b"}", "thousands of digits"),
        (b'{"a": 1,}', "not JSON at character"),
        (b'{"a": 1} // x', "not JSON at character"),
        (b"{'a': 1}", "not JSON at character"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8 at byte 7"),
        (b'{"a": "\t"}', "not JSON at character"),
        (b'{"a": 01}', "not JSON at character"),
    ],
    ids=[
        *("empty", "open", "list", "utf-16", "latin-1", "deep", "digits", "trailing-comma"),
        *("comment", "quotes", "surrogate-in-utf-8", "control-character", "leading-zero"),
    ],
)
def test_a_broken_configuration_is_a_finding_and_costs_nothing_else(
    raw: bytes, problem: str
) -> None:
    neighbours = _read(adapter_config_json=raw, config_json={"model_type": "llama"})
    (finding,) = neighbours.findings
    assert finding.code == "sbom/neighbour-invalid"
    assert finding.url == "/m/adapter_config.json"
    assert problem in finding.message
    assert _stated(neighbours, "architecture") == ("llama", "config.json:model_type")


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("a: [", "not YAML in line"),
        ("- a\n- b", "not a mapping"),
        ("a: !!python/object/apply:os.system [x]", "python/object/apply:os.system"),
        ("a: !x y", "the tag '!x'"),
        ("? [a]\n: b", "a key that is not a string"),
        ("a: *x", "an alias"),
        ("a: b\n--- {c: d}", "more than one document"),
        ("a: \x00", "not YAML"),
    ],
)
def test_a_broken_card_is_a_warning(block: str, problem: str) -> None:
    (finding,) = _read(README_md=f"---\n{block}\n---\n").findings
    assert (finding.code, finding.severity) == ("sbom/front-matter-invalid", "warning")
    assert problem in finding.message


@pytest.mark.parametrize(
    ("value", "licence"),
    [
        ("2.0", "2.0"),
        ("no", "no"),
        ("0x" + "f" * 300, "0x" + "f" * 300),
        ("1:1:1.0", "1:1:1.0"),
        ("2026-99-99", "2026-99-99"),
        ("!!timestamp x", "x"),
        ("!!bool x", "x"),
        ('!!int ""', None),
        ('!!float ""', None),
        ("!!str true", "true"),
        ('"true"', "true"),
        ("true", "True"),
        ("null", None),
        ("~", None),
        ("", None),
        ("!!set {mit}", "mit"),
        ("{mit: 1}", "mit AND 1"),
        ("[2.0, no]", "2.0 AND no"),
    ],
)
def test_a_card_is_read_as_texts(value: str, licence: str | None) -> None:
    neighbours = _read(README_md=CARD.format(value))
    assert neighbours.findings == ()
    expected = None if licence is None else (licence, "README.md:license")
    assert _stated(neighbours, "license") == expected


def test_a_licence_behind_a_foreign_tag_is_stated_all_the_same() -> None:
    assert _stated(_read(README_md=CARD.format("!x gemma")), "license") == (
        "gemma",
        "README.md:license",
    )


def test_a_key_that_stands_twice_in_a_card_is_said() -> None:
    neighbours = _read(README_md=CARD.format("mit\nlicense: gemma"))
    (finding,) = neighbours.findings
    assert finding.code == "sbom/duplicate-key"
    assert _stated(neighbours, "license") == ("mit AND gemma", "README.md:license")


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 4000, "1e999", "1e308", str(2**64)])
def test_a_number_that_nothing_holds_is_not_stated(number: str) -> None:
    raw = f'{{"vocab_size": {number}, "temperature": {number}, "r": {number}}}'
    names = ("config_json", "generation_config_json", "adapter_config_json")
    neighbours = _read(**dict.fromkeys(names, raw))
    assert neighbours.findings == ()
    assert _stated(neighbours, "vocab_size") is None
    assert neighbours.details.get("adapter") is None
    shown = neighbours.details.get("generation", {}).get("temperature")
    assert shown is None or shown == float(number)


@pytest.mark.parametrize(
    "text", ["# No front matter", "---\nlicense: mit\n", "", "text\n---\nlicense: mit\n---\n"]
)
def test_a_card_without_front_matter_states_nothing(text: str) -> None:
    assert _read(README_md=text) == Neighbours()


def test_a_key_that_stands_twice_is_said() -> None:
    (finding,) = _read(config_json=b'{"x": {"dtype": "a", "dtype": "b"}}').findings
    assert finding.code == "sbom/duplicate-key"
    assert "'dtype'" in finding.message


def test_nan_and_half_characters_become_something_every_output_has() -> None:
    neighbours = _read(config_json=b'{"vocab_size": NaN, "model_type": "a\\ud800b"}')
    assert _stated(neighbours, "vocab_size") is None
    assert _stated(neighbours, "architecture") == ("a?b", "config.json:model_type")


def test_what_the_sbom_shows_of_the_configuration() -> None:
    neighbours = _read(
        config_json={
            "model_type": "llama",
            "architectures": ["A", 1],
            "dtype": "float16",
            "secret": "x",
        },
        tokenizer_config_json={"tokenizer_class": "LlamaTokenizer"},
    )
    assert neighbours.config == {
        "model_type": "llama",
        "architectures": ["A"],
        "torch_dtype": "float16",
        "tokenizer_class": "LlamaTokenizer",
    }
