import json
from pathlib import Path

import pytest

from prefect_mutagen.scanner import scan
from prefect_mutagen.scanner.content.neighbours import (
    LIMITS,
    Neighbours,
    read_neighbours,
    read_up_to,
)
from tests.builders import gguf


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
            "mit",
            "config.json:license",
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
        ("true", None),
        ("null", None),
        ("~", None),
        ("", None),
        ("!!set {mit}", None),
        ("{mit: 1}", None),
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
    assert _stated(neighbours, "license") == ("gemma", "README.md:license")


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


JSON = b'{"model_type": "llama", "vocab_size": 7}'


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xef\xbb\xbf" + JSON, id="bom"),
        pytest.param(JSON.decode().encode("utf-16"), id="utf-16"),
        pytest.param(JSON.decode().encode("utf-16-le"), id="utf-16-without-mark"),
        pytest.param(JSON.decode().encode("utf-16-be"), id="utf-16-be"),
        pytest.param(JSON.decode().encode("utf-32"), id="utf-32"),
    ],
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "adapter_config.json"])
def test_an_encoding_that_loaders_refuse_is_an_error_and_is_read(
    tmp_path: Path, name: str, raw: bytes
) -> None:
    (tmp_path / name).write_bytes(raw)
    with (
        open(tmp_path / name, encoding="utf-8") as file,  # as transformers opens it
        pytest.raises(ValueError, match=r"BOM|decode|Expecting"),
    ):
        json.load(file)
    neighbours = read_neighbours({name: (f"/m/{name}", raw)})
    (finding,) = neighbours.findings
    assert (finding.code, finding.severity) == ("sbom/neighbour-invalid", "error")
    assert "loaders re" in finding.message
    if name == "config.json":
        assert _stated(neighbours, "architecture") == ("llama", "config.json:model_type")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"model_type": "llama", "x": [Infinity, -Infinity, NaN]}', id="infinity"),
        pytest.param('{"model_type": "llama", "x": %s}' % ("9" * 400), id="400-digits"),
        pytest.param('{"model_type": "llama", "x": "\\ud800"}', id="lone-surrogate"),
        pytest.param('{"model_type": "llama", "x": 1e999}', id="float-too-large"),
        pytest.param('\r\n\t{"model_type":\t"llama"}\r\n', id="white-space"),
        pytest.param('{"model_type": "llama", "x": %s}' % ("[" * 200 + "]" * 200), id="deep"),
        pytest.param('{"model_type": "llama", "x": "\ufeff"}', id="mark-inside"),
    ],
)
def test_what_pythons_json_takes_is_taken(text: str) -> None:
    assert json.loads(text)
    neighbours = _read(config_json=text)
    assert neighbours.findings == ()
    assert _stated(neighbours, "architecture") == ("llama", "config.json:model_type")


@pytest.mark.parametrize("name", sorted(set(LIMITS) - {"README.md", "chat_template.jinja"}))
def test_a_file_beyond_the_limit_is_not_examined(name: str) -> None:
    raw = b"{}" + b" " * (LIMITS[name] - 2)
    (finding,) = read_neighbours({name: (f"/m/{name}", raw)}).findings
    assert (finding.code, finding.severity) == ("sbom/unexamined", "error")
    assert read_neighbours({name: (f"/m/{name}", raw[:-1])}).findings == ()


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("a: " + "[" * 120 + "]" * 120, "nested too deeply"),
        ("a: &x [1]\nlicense: *x", "an alias"),
        ("<<: {license: mit}", "a merge key"),
    ],
    ids=["deep", "alias-of-a-list", "merge-key"],
)
def test_what_the_hub_reads_and_we_do_not_is_unexamined(block: str, problem: str) -> None:
    (finding,) = _read(README_md=f"---\n{block}\n---\n").findings
    assert (finding.code, finding.severity) == ("sbom/unexamined", "error")
    assert problem in finding.message


def test_an_alias_of_a_scalar_is_what_it_stands_for() -> None:
    neighbours = _read(README_md="---\nx: &name cc-by-nc-4.0\nlicense: *name\n---\n")
    assert _stated(neighbours, "license") == ("cc-by-nc-4.0", "README.md:license")
    assert neighbours.findings == ()


def test_a_card_in_utf_16_is_read_and_named() -> None:
    neighbours = _read(README_md=CARD.format("mit").encode("utf-16"))
    assert _stated(neighbours, "license") == ("mit", "README.md:license")
    (finding,) = neighbours.findings
    assert finding.code == "sbom/front-matter-invalid"
    assert "UTF-16" in finding.message


@pytest.mark.parametrize("start", ["", "\ufeff", "\n", "  \n\n", "\ufeff\r\n"])
def test_a_card_may_start_with_white_space(start: str) -> None:
    neighbours = _read(README_md=start + CARD.format("mit"))
    assert _stated(neighbours, "license") == ("mit", "README.md:license")


@pytest.mark.parametrize(
    ("raw", "upto"),
    [
        (b"---\nlicense: mit\n---\n" + b"x" * 100, 0),
        (b"# A title\n" + b"x" * 100, 0),
        (b"---\nlicense: mit\n" + b"x" * 100, 400),
        (b"\n\n", 4),
        (b"", 0),
    ],
    ids=["closed", "none", "open", "white-space", "empty"],
)
def test_a_card_is_read_on_while_its_front_matter_is_open(raw: bytes, upto: int) -> None:
    assert read_up_to("README.md", raw, 1000) >= min(upto, 1000)
    assert (read_up_to("README.md", raw, 1000) > len(raw)) == (upto > 0)
    assert read_up_to("config.json", raw, 1000) == len(raw)
    assert read_up_to("README.md", raw, len(raw)) == len(raw)


@pytest.mark.parametrize("size", [100_000, 1_000_000, 3_000_000])
def test_a_card_with_a_long_front_matter_is_read(tmp_path: Path, size: int) -> None:
    tags = "".join(f"- tag-{number:07}\n" for number in range(size // 14))
    (tmp_path / "README.md").write_text(f"---\ntags:\n{tags}license: cc-by-nc-4.0\n---\n")
    (tmp_path / "m.gguf").write_bytes(gguf().data)
    (result,) = scan(str(tmp_path))
    assert (result.sbom.license, result.verdict.status) == ("cc-by-nc-4.0", "passed")


def test_a_card_beyond_the_limit_leaves_the_verdict_unknown(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\n" + "- tag-0000000\n" * 400_000 + "---\n")
    (tmp_path / "m.gguf").write_bytes(gguf().data)
    (result,) = scan(str(tmp_path))
    assert [finding.code for finding in result.findings] == ["sbom/unexamined"]
    assert result.verdict.status == "unknown"
    assert "fetch" not in result.findings[0].hint.lower()
