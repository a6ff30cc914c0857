import pytest

from prefect_mutagen.scanner.outputs.markdown import LONGEST, code, text
from prefect_mutagen.scanner.outputs.visible import visible
from tests.scanner.outputs.pages import structure, texts
from tests.scanner.outputs.writing import HUGE, NASTY

PLACES = {
    "paragraph": "%s\n",
    "heading": "# %s\n",
    "item": "- %s\n- b\n",
    "after-bold": "- **a:** %s\n",
    "cell": "| a | b |\n|---|---|\n| %s | c |\n",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("value", [*NASTY.values(), *HUGE.values()], ids=[*NASTY, *HUGE])
def test_a_value_is_text_wherever_it_stands(place: str, value: str) -> None:
    page = place % text(value)
    assert structure(page) == structure(place % "tame")
    shown = visible(value, LONGEST).strip()
    assert [shown in read for read in texts(page)].count(True) >= 1


@pytest.mark.parametrize("place", [PLACES["paragraph"], PLACES["item"]], ids=["paragraph", "item"])
@pytest.mark.parametrize("value", [*NASTY.values(), *HUGE.values()], ids=[*NASTY, *HUGE])
def test_a_value_is_code_and_nothing_else(place: str, value: str) -> None:
    page = place % f"{code(value)}, {code('second')}"
    assert structure(page) == structure(place % "`tame`, `second`")
    assert f"{visible(value, LONGEST)}, second" in texts(page)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Tiny-Llama-3.1_8B (v2)", "Tiny-Llama-3.1_8B (v2)"),
        ("_a", "\\_a"),
        ("1.5B", "1.5B"),
        ("1. a", "1\\. a"),
        ("-a", "\\-a"),
        ("a # b #c", "a # b #c"),
        ("# a ##", "\\# a \\##"),
        ("https://a", "https\\://a"),
        ("www.a", "www\\.a"),
        ("a|b<c>&amp;", "a&#124;b&lt;c&gt;&amp;amp;"),
        ("  a\n", "a\\\\n"),
    ],
)
def test_only_what_means_something_is_escaped(value: str, written: str) -> None:
    assert text(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", "`a`"),
        ("`", "`` ` ``"),
        ("a``b", "```a``b```"),
        ("  ", "`  `"),
        ("", ""),
        (" a", "`  a `"),
    ],
)
def test_a_fence_is_longer_than_what_is_in_it(value: str, written: str) -> None:
    assert code(value) == written
