import io
import os
import sys
from itertools import product

import pytest

from prefect_mutagen.scanner.outputs.screen import STYLES, Screen, has_colours, text_width
from tests.terminal import open_terminal

CUBE = (0, 95, 135, 175, 215, 255)
GROUNDS = {"black": "000000", "white": "ffffff", "dark": "002b36", "light": "fdf6e3"}
"""The last two are those of Solarized, a theme with little contrast."""


def _luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [
        part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4
        for part in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("style", "ground"), [*product(("passed", "failed", "unknown"), sorted(GROUNDS))]
)
def test_verdicts_can_be_read_on_light_and_dark(style: str, ground: str) -> None:
    number = int(STYLES[style].rpartition(";")[2]) - 16
    shown = _luminance(CUBE[number // 36], CUBE[number // 6 % 6], CUBE[number % 6])
    behind = _luminance(*bytes.fromhex(GROUNDS[ground]))
    lighter, darker = max(shown, behind), min(shown, behind)
    assert (lighter + 0.05) / (darker + 0.05) >= 3


def _ask(monkeypatch: pytest.MonkeyPatch, terminal: bool, **environment: str) -> bool:  # noqa: FBT001 - a column
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = open_terminal(80)
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as screen:
        out = screen if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        return has_colours(out)


@pytest.mark.parametrize(
    ("terminal", "environment", "colours"),
    [
        (True, {}, True),
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (False, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_who_decides_on_colours(
    terminal: bool,  # noqa: FBT001 - a column
    environment: dict[str, str],
    colours: bool,  # noqa: FBT001 - a column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _ask(monkeypatch, terminal, **environment) == colours


def test_a_file_of_its_own_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not has_colours(io.StringIO())


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("模型", 4), ("e\u0301", 1), ("\uff46", 2), ("\U0001f9ea", 2)],
)
def test_how_wide_a_text_is(text: str, width: int) -> None:
    assert text_width(text) == width


def test_words_are_broken_between_rows_and_never_within() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.write_words("a b  c", "* ", "  ")
    screen.columns = 6
    screen.write_words("aa bb cccccccc d", "* ", "  ")
    screen.write_words("\x1b[1maa bb\x1b[0m cc", "", "")
    screen.write_words("", "* ")
    assert out.getvalue() == (
        "* a b  c\n* aa\n  bb\n  cccccccc\n  d\n\x1b[1maa bb\x1b[0m\ncc\n* \n"
    )
