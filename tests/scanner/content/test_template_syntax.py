import time
from typing import Any

import pytest
from jinja2 import Environment, nodes
from jinja2.ext import Extension, do, loopcontrols
from jinja2.parser import Parser

from prefect_mutagen.scanner.content.template_syntax import LONGEST_TEMPLATE, judge_template
from tests.scanner.content.template_cases import (
    DATA,
    ESCAPES,
    HONEST,
    HOSTILE,
    REFUSED_BY_NAME,
    UNDECIDED,
)


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


@pytest.mark.parametrize("name", ESCAPES)
def test_what_reaches_pythons_internals_is_found(name: str) -> None:
    text = ESCAPES[name]
    data = {
        "messages": [{"role": "user", "content": "hi", "name": "class"}],
        "tools": None,
    }
    assert "class " in _render(text, data), "this is no escape"
    judgement = judge_template(text)
    assert (judgement.outcome, judgement.line) == (
        "escape",
        text[: text.rfind("[")].count("\n") + 1 if "\n" in text else 1,
    )


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


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_costs_bounded_work(name: str) -> None:
    start = time.process_time()
    judge_template(HOSTILE[name][:LONGEST_TEMPLATE])
    assert time.process_time() - start < 30
