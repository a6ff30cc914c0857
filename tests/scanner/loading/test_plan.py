"""Records of load plans: what is opened, and several plans as one."""

import pytest

from prefect_mutagen.scanner.loading.plan import LoadPlan, merge_plans


@pytest.mark.parametrize(
    ("template", "files", "expected"),
    [
        ("tokenizer_config.json:chat_template", (), "tokenizer_config.json"),
        ("m.gguf:tokenizer.chat_template", (), "m.gguf"),
        ("m.gguf:tokenizer.chat_template.tool_use", (), "m.gguf"),
        ("blobs/sha256:abc", (), "blobs/sha256:abc"),
        ("blobs/sha256:abc:tokenizer.chat_template", (), "blobs/sha256:abc"),
        ("a:b/chat_template.jinja", (), "a:b/chat_template.jinja"),
        ("c.json:chat_template.a:b/c:chat_template", ("c.json",), "c.json"),
    ],
)
def test_a_template_opens_its_file(template: str, files: tuple[str, ...], expected: str) -> None:
    plan = LoadPlan("transformers", files=files, templates=(template,))
    assert plan.opened() == (expected,)


def test_plans_are_merged_in_order_and_name_each_file_once() -> None:
    first = LoadPlan("transformers", weights=("b", "a"), files=("c",), variants=("",))
    second = LoadPlan("transformers", weights=("a", "d"), missing=("e",), variants=("fp16",))
    merged = merge_plans("diffusers", (first, second))
    assert merged.loader == "diffusers"
    assert merged.weights == ("b", "a", "d")
    assert (merged.files, merged.missing, merged.variants) == (("c",), ("e",), ("", "fp16"))
    assert merged.opened() == ("c", "b", "a", "d")
