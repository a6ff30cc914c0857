import json

import pytest

from prefect_mutagen.parsers import GgufHeader
from prefect_mutagen.scanner.content.neighbours import read_neighbours
from prefect_mutagen.scanner.content.template_places import find_differing_copies, mark_rendered
from prefect_mutagen.scanner.content.templates import (
    find_template_escapes,
    gguf_templates,
    make_template,
)
from tests.builders import STRING, gguf
from tests.parsers.reading import read

HONEST = [
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}",
    "{%- set ns = namespace(found=false) -%}{{ bos_token }}{{ ns.found }}",
    "{{ raise_exception('Only user and assistant roles are supported!') }}",
    "{{ messages | map(attribute='content') | join('\n') | tojson }}",
    "{% if message['role'] == 'import from self' %}include __init__{% endif %}",
    "{{ '__tool_call__' }}{{ 'lipsum cycler() |attr(' }}",
    "{# {% include 'x' %} #}plain text __class__ [/INST]",
    "{%- macro from_user(x) -%}{{ x.from_user }}{%- endmacro -%}",
    "{{ myself.name }}{{ joiners.x }}",
    "",
]
ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ x['__class__'] }}",
    '{{ x[ "__init__" ].__globals__ }}',
    "{{ x|attr('__cla' + 'ss__') }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.next }}",
    "{{ joiner() }}",
    "{{ self._TemplateReference__context }}",
    "{% include 'other' %}",
    "{%- import 'os' as os -%}",
    "{% from 'x' import y %}",
    "{% extends 'base' %}",
    "{{ '{0.__class__}'.format(x) }}",
    "{% set a = x.__init__ %}",
    "{{ '}}' ~ x.__class__ }}",
    '{{ "it\'s" ~ x.__class__ }}',
    "{# ' #}{{ x.__class__ }}",
    "{{ 'never closed' ~ x.__class__",
    "{{ a }}\n{% for i in y %}{{ i.__dict__ }}{% endfor %}",
]


@pytest.mark.parametrize("text", HONEST)
def test_honest_templates_are_left_alone(text: str) -> None:
    assert list(find_template_escapes([make_template("x", text)], "/m")) == []


@pytest.mark.parametrize("text", ESCAPES)
def test_escapes_are_found(text: str) -> None:
    (finding,) = find_template_escapes(
        [make_template("tokenizer.chat_template", text)], "/m/x.gguf"
    )
    assert (finding.code, finding.severity) == ("template/escape", "error")
    assert finding.message.startswith("tokenizer.chat_template uses ")


def test_a_template_too_long_to_look_at_is_no_honest_one() -> None:
    (finding,) = find_template_escapes([make_template("x", "a" * ((1 << 20) + 1))], "/m")
    assert finding.code == "template/unexamined"


def test_a_hostile_template_takes_no_time() -> None:
    for text in (
        "{{" * 400_000,
        "{#" * 400_000,
        "{{ '__a__" * 100_000,
        "{{ '" + "\\'" * 400_000,
        "{% " + "[" * 900_000 + " %}",
    ):
        list(find_template_escapes([make_template("x", text)], "/m"))


def test_templates_are_found_in_the_header() -> None:
    header = read(
        gguf(
            (
                ("tokenizer.chat_template", STRING, HONEST[0]),
                ("tokenizer.chat_template.tool_use", STRING, ESCAPES[0]),
                ("tokenizer.chat_template.rag", STRING, "x" * 1_100_000),
            )
        ).data,
        "gguf",
    )
    assert isinstance(header, GgufHeader)
    found = {template.place: template.text for template in gguf_templates(header)}
    assert found == {
        "tokenizer.chat_template": HONEST[0],
        "tokenizer.chat_template.tool_use": ESCAPES[0],
        "tokenizer.chat_template.rag": None,
    }


def test_a_name_that_is_not_known_is_undecided() -> None:
    found = find_template_escapes([make_template("x", "{{ x | attr ( name ) }}")], "/m")
    assert [(one.code, one.severity) for one in found] == [("template/undecided", "warning")]


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        (ESCAPES[0], {"template/escape"}),
        (
            [{"name": "default", "template": ESCAPES[0]}, {"name": "x"}, 7],
            {"template/escape", "template/unknown-shape"},
        ),
    ],
)
def test_templates_are_found_beside_the_model(value: object, codes: set[str]) -> None:
    raw = json.dumps({"chat_template": value}).encode()
    found = read_neighbours({"tokenizer_config.json": ("/m/tokenizer_config.json", raw)})
    assert {finding.code for finding in found.findings} == codes
    assert found.findings[0].url == "/m/tokenizer_config.json"
    jinja = {"chat_template.jinja": ("/m/chat_template.jinja", ESCAPES[0].encode())}
    assert [finding.code for finding in read_neighbours(jinja).findings] == ["template/escape"]


@pytest.mark.parametrize(
    "value",
    [
        7,
        False,
        [7],
        [{"name": "x"}],
        [{"name": "x", "template": ["x"]}],
        [{"name": "x", "template": "a"}, {"name": "x", "template": "b"}],
        {"x": {"y": "z"}},
    ],
)
def test_a_value_of_a_shape_that_is_not_known_is_an_error(value: object) -> None:
    for name in ("tokenizer_config.json", "chat_template.json", "special_tokens_map.json"):
        raw = json.dumps({"chat_template": value}).encode()
        (finding,) = read_neighbours({name: (f"/m/{name}", raw)}).findings
        assert (finding.code, finding.severity) == ("template/unknown-shape", "error")


def test_texts_in_an_unknown_shape_are_judged_too() -> None:
    raw = json.dumps({"chat_template": [{"x": [{"y": ESCAPES[0]}]}]}).encode()
    found = read_neighbours({"processor_config.json": ("/m/processor_config.json", raw)}).findings
    assert {one.code for one in found} == {"template/unknown-shape", "template/escape"}


def test_copies_that_differ_are_said_and_equal_ones_are_not() -> None:
    one, same, other = (
        make_template(place, text)
        for place, text in (
            ("tokenizer_config.json:chat_template", "a"),
            ("chat_template.jinja", "a\n"),
            ("tokenizer.chat_template", "b"),
        )
    )
    assert list(find_differing_copies([one, same], "/m")) == []
    (finding,) = find_differing_copies([other, one], "/m")
    assert finding.code == "template/copies-differ"


def test_a_half_of_a_surrogate_pair_makes_another_digest() -> None:
    assert make_template("x", "\ud800").sha256 != make_template("x", "?").sha256


def test_a_template_is_marked_with_the_loaders_that_render_it() -> None:
    places = ("tokenizer_config.json:chat_template", "chat_template.jinja", "template of h/n/m:t")
    entries = [{"place": place} for place in places]
    marked = mark_rendered(entries, {"transformers": ["chat_template.jinja"]})
    assert [entry.get("rendered_by") for entry in marked] == [[], ["transformers"], None]
