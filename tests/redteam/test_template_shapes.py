"""Attempts to hand a loader a chat template in a shape that nobody looks at.

Each runs through `scan` on files as an uploader may put them. Beside the attempts stand honest
models that are written much alike: they pass, without an alarm.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy
from tests.builders import ARRAY, STRING, gguf
from tests.redteam.models import codes_of, json_of, model, scan_one

SOUND = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
ESCAPE = "{{ ''.__class__.__mro__ }}"
SHA256 = hashlib.sha256(SOUND.encode()).hexdigest()
HEADER_KEY = ("general.architecture", STRING, "llama")


HOLDERS = (
    *("tokenizer_config.json", "chat_template.json", "processor_config.json"),
    *("special_tokens_map.json", "config.json"),
)
SHAPES: dict[str, Any] = {
    "number": 7,
    "nought": 0,
    "fraction": 1.5,
    "true": True,
    "false": False,
    "texts": [SOUND],
    "numbers": [1],
    "lists": [[{"name": "default", "template": SOUND}]],
    "object of objects": {"default": {"template": SOUND}},
    "object of a number": {"default": SOUND, "tool_use": 7},
    "object of nothing": {"default": None},
    "no name": [{"template": SOUND}],
    "name that is a number": [{"name": 1, "template": SOUND}],
    "template that is a list": [{"name": "default", "template": [SOUND]}],
    "template that is nothing": [{"name": "default", "template": None}],
    "name twice": [{"name": "a", "template": SOUND}, {"name": "a", "template": SOUND}],
}
POLICIES = (Policy(), Policy(allowed_templates=(SHA256,)))


@pytest.mark.parametrize("value", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", HOLDERS)
def test_a_template_of_an_unknown_shape_is_an_error(tmp_path: Path, name: str, value: Any) -> None:
    files = model({name: json_of(chat_template=value)})
    for policy in POLICIES:
        result = scan_one(tmp_path, files, policy)
        assert result.verdict.status == "failed"
        assert "template/unknown-shape" in codes_of(result)


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("texts", [(ESCAPE, SOUND), (SOUND, ESCAPE)], ids=["first", "last"])
def test_both_of_two_templates_under_one_key_are_judged(
    tmp_path: Path, name: str, texts: tuple[str, str]
) -> None:
    both = ", ".join(f'"chat_template": {json.dumps(text)}' for text in texts)
    for policy in POLICIES:
        result = scan_one(tmp_path, model({name: f"{{{both}}}".encode()}), policy)
        assert result.verdict.status == "failed"
        assert {"template/escape", "template/unknown-shape"} <= set(codes_of(result))


GGUF_SHAPES: dict[str, tuple[int, Any]] = {
    "number": (4, 7),
    "truth": (7, True),
    "fraction": (6, 1.5),
    "texts": (ARRAY, (STRING, [SOUND])),
    "numbers": (ARRAY, (4, [1, 2])),
    "nothing": (ARRAY, (STRING, [])),
}


@pytest.mark.parametrize(("kind", "value"), GGUF_SHAPES.values(), ids=GGUF_SHAPES)
@pytest.mark.parametrize("key", ["tokenizer.chat_template", "tokenizer.chat_template.tool_use"])
def test_a_template_of_a_header_is_a_text(tmp_path: Path, key: str, kind: int, value: Any) -> None:
    files = {"m.gguf": gguf((HEADER_KEY, (key, kind, value))).data}
    for policy in POLICIES:
        result = scan_one(tmp_path, files, policy)
        assert result.verdict.status == "failed"
        assert "template/unknown-shape" in codes_of(result)


KNOWN_SHAPES: dict[str, Any] = {
    "text": SOUND,
    "object": {"default": SOUND},
    "list": [{"name": "default", "template": SOUND}],
    "two in a list": [{"name": "default", "template": SOUND}, {"name": "rag", "template": SOUND}],
    "nothing": None,
    "empty list": [],
    "empty object": {},
}


@pytest.mark.parametrize("value", KNOWN_SHAPES.values(), ids=KNOWN_SHAPES)
@pytest.mark.parametrize("name", HOLDERS)
def test_a_template_of_a_known_shape_passes(tmp_path: Path, name: str, value: Any) -> None:
    for policy in POLICIES:
        result = scan_one(tmp_path, model({name: json_of(chat_template=value)}), policy)
        assert result.passed, result.verdict
        assert codes_of(result) == []


def test_an_allowed_template_of_a_header_passes(tmp_path: Path) -> None:
    files = {"m.gguf": gguf((HEADER_KEY, ("tokenizer.chat_template", STRING, SOUND))).data}
    for policy in POLICIES:
        assert scan_one(tmp_path, files, policy).passed
