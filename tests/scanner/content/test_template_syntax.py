import time
from typing import Any

import pytest
from jinja2 import Environment, nodes
from jinja2.ext import Extension, do, loopcontrols
from jinja2.parser import Parser

from prefect_mutagen.scanner.content.template_syntax import LONGEST_TEMPLATE, judge_template
from tests.scanner.content.template_bombs import HOSTILE
from tests.scanner.content.template_escapes import ESCAPES
from tests.scanner.content.template_foldings import BY_FOLDING
from tests.scanner.content.template_idioms import DATA, HONEST
from tests.scanner.content.template_names import REFUSED_BY_NAME, UNDECIDED
from tests.scanner.content.template_tokens import BY_TOKEN
from tests.scanner.content.template_turns import BY_CHANGE


class Generation(Extension):
    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _raise(message: str) -> None:
    raise RuntimeError(message)


def _render(text: str, data: dict[str, Any]) -> str:
    """Render a template of this test in a plain environment."""
    environment = Environment(  # noqa: S701 - no page is made
        extensions=[do, loopcontrols, Generation], trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["tojson"] = lambda value, **_: __import__("json").dumps(value)
    environment.globals |= {"raise_exception": _raise, "strftime_now": lambda form: form}
    return environment.from_string(text).render(**data)


def _prints_a_class(text: str) -> bool:
    data = {
        "messages": [{"role": "user", "content": "hi", "name": "class"}],
        "tools": None,
        "bos_token": "{0.__class__}",
        "eos_token": "__class__",
        "names": ["__class__"],
        "formats": ["{0.__class__}"],
    }
    return "class " in _render(text, data)


@pytest.mark.parametrize("name", ESCAPES)
def test_what_reaches_pythons_internals_is_found(name: str) -> None:
    text = ESCAPES[name]
    assert _prints_a_class(text), "this is no escape"
    judgement = judge_template(text)
    assert (judgement.outcome, judgement.line) == (
        "escape",
        text[: text.rfind("[")].count("\n") + 1 if "\n" in text else 1,
    )


@pytest.mark.parametrize("text", (BY_FOLDING | BY_CHANGE).values(), ids=BY_FOLDING | BY_CHANGE)
def test_no_spelling_and_no_change_hides_a_name(text: str) -> None:
    assert _prints_a_class(text), "this is no escape"
    assert judge_template(text).outcome in ("escape", "undecided")


@pytest.mark.parametrize("name", BY_TOKEN)
def test_a_token_that_selects_an_attribute_is_said(name: str) -> None:
    text = BY_TOKEN[name]
    assert _prints_a_class(text), "this is no escape"
    assert judge_template(text).outcome == "undecided"


@pytest.mark.parametrize("name", REFUSED_BY_NAME)
def test_what_no_template_needs_is_found(name: str) -> None:
    assert judge_template(REFUSED_BY_NAME[name]).outcome == "escape"


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_cannot_be_decided_is_said(name: str) -> None:
    judgement = judge_template(UNDECIDED[name])
    assert (judgement.outcome, judgement.line) == ("undecided", 1)


@pytest.mark.parametrize("name", HONEST)
def test_honest_templates_are_sound(name: str) -> None:
    text = HONEST[name]
    assert judge_template(text) == ("sound", "", "", 0)
    _render(text, DATA)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("{% for m in messages %}{{ m.role }}", "invalid"),
        ("{{ messages[0] }", "invalid"),
        ("{% endif %}", "invalid"),
        ("{% trans %}x{% endtrans %}", "unexamined"),
        ("{% break %}", "sound"),
        ("{{ .System }}{{ range .Messages }}{{ .Content }}{{ end }}", "sound"),
        ("{{ x.__class__ }}{% endif %}", "escape"),
        ("x" * (LONGEST_TEMPLATE + 1), "unexamined"),
        ("{{ " + "+".join(["x"] * 40_000) + " }}", "unexamined"),
    ],
    ids=[
        "an open loop",
        "an open expression",
        "a stray end",
        "a tag that is not known",
        "a break that Python refuses",
        "Go",
        "an escape in what is refused",
        "too long",
        "too many parts",
    ],
)
def test_what_jinja_refuses_or_is_too_large_is_said(text: str, outcome: str) -> None:
    assert judge_template(text).outcome == outcome


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_costs_bounded_work(name: str) -> None:
    start = time.process_time()
    judge_template(HOSTILE[name][:LONGEST_TEMPLATE])
    assert time.process_time() - start < 30
