"""Which chat template is rendered, in every combination of the places that there are."""

import itertools
from typing import Any

import pytest

from prefect_mutagen.scanner.loading.chat_templates import chat_templates
from prefect_mutagen.scanner.loading.folder import Folder
from prefect_mutagen.scanner.loading.plan import ModelFiles

RAW, LEGACY = "chat_template.jinja", "chat_template.json:chat_template"
ADDITIONAL = tuple(f"additional_chat_templates/{name}.jinja" for name in ("default", "rag"))
CONFIG = "tokenizer_config.json"
CONFIGS = {
    "none": {},
    "text": {"chat_template": "T"},
    "object": {"chat_template": {"tool_use": "U", "default": "D"}},
    "list": {"chat_template": [{"name": "tool_use", "template": "U"}, {"name": "default"}]},
}
IN_CONFIG = {
    "none": (),
    "text": (f"{CONFIG}:chat_template",),
    "object": (f"{CONFIG}:chat_template.default", f"{CONFIG}:chat_template.tool_use"),
    "list": (f"{CONFIG}:chat_template.default", f"{CONFIG}:chat_template.tool_use"),
}


def _places(names: tuple[str, ...] = (), **documents: Any) -> tuple[str, ...]:
    named = {f"{name}.json": document for name, document in documents.items()}
    return chat_templates(Folder.of(ModelFiles({*names, *named}, named)))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("additional", [(), ADDITIONAL[1:], ADDITIONAL])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("kind", CONFIGS)
def test_precedence(kind: str, additional: tuple[str, ...], *, raw: bool, legacy: bool) -> None:
    names = (*((RAW,) if raw else ()), *additional)
    more = {"chat_template": {"chat_template": "L"}} if legacy else {}
    found = _places(names, tokenizer_config=CONFIGS[kind], **more)
    if ADDITIONAL[0] in additional:
        tokenizer = ADDITIONAL
    elif names:
        tokenizer = names
    else:
        tokenizer = IN_CONFIG[kind]
    if legacy:
        processor = () if additional else (LEGACY,)
    else:
        processor = (*names[:1], *(n for n in names[1:] if not (raw and n == ADDITIONAL[0])))
    assert found == tuple(dict.fromkeys((*tokenizer, *processor)))


@pytest.mark.parametrize("where", ["config", "tokenizer_config", "preprocessor_config"])
def test_the_processors_template_comes_first_where_a_processor_is_stated(where: str) -> None:
    documents: dict[str, Any] = {
        "processor_config": {"chat_template": "P"},
        "tokenizer_config": {"chat_template": "T"},
    }
    tokenizer, processor = f"{CONFIG}:chat_template", "processor_config.json:chat_template"
    assert _places(**documents) == (tokenizer, processor)
    documents[where] = {**documents.get(where, {}), "processor_class": "X"}
    assert _places(**documents) == (processor, tokenizer)


def test_special_tokens_replace_every_template_of_a_tokenizer() -> None:
    special, config = {"chat_template": "S"}, {"chat_template": "T"}
    place = "special_tokens_map.json:chat_template"
    found = _places((RAW,), special_tokens_map=special, tokenizer_config=config)
    assert found == (place, RAW)  # the latter by a processor
    config |= {"added_tokens_decoder": {}}  # type: ignore[dict-item]
    assert _places((RAW,), special_tokens_map=special, tokenizer_config=config) == (RAW,)


@pytest.mark.parametrize("beside", [False, True])
def test_a_gguf_has_its_own(*, beside: bool) -> None:
    names = {"m.gguf", RAW, *(("tokenizer.json",) if beside else ())}
    found = chat_templates(Folder.of(ModelFiles(names)), gguf="m.gguf")
    assert found == (() if beside else ("m.gguf:tokenizer.chat_template",))


HOSTILE: tuple[Any, ...] = (
    None,
    3,
    True,
    [],
    {},
    [1, None],
    [{"name": 3}],
    [{}],
    {"a": {"b": []}},
    "x",
    [[["x"]]],
)


@pytest.mark.parametrize(("first", "second"), [*itertools.product(HOSTILE, HOSTILE[:4])], ids=str)
def test_nonsense_raises_nothing(first: Any, second: Any) -> None:
    values = {"chat_template": first, "processor_class": second}
    names = ("tokenizer_config", "processor_config", "special_tokens_map", "chat_template")
    for chosen in ({**dict.fromkeys(names, values)}, dict.fromkeys(names, first)):
        _places(names=ADDITIONAL, **chosen)
        _places(**chosen)
