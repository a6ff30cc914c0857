"""Write the page: one file with its own style, program and data, which needs no network.

Whatever comes from files is text here: Jinja2 escapes every value, `visible` shows every control
character of it, and the page's program sets texts alone. Should something get past them, the policy
in the page's head lets the browser run one script and apply one style, by their SHA-256, and fetch
nothing.
"""

import base64
import hashlib
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from prefect_mutagen import __version__
from prefect_mutagen.scanner.outputs.page.contents import Contents
from prefect_mutagen.scanner.outputs.page.drawing import shares, trend_of
from prefect_mutagen.scanner.outputs.page.packing import pack
from prefect_mutagen.scanner.outputs.visible import short_count, short_size, visible

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_page"]

_LONGEST: Final = 20_000
"""Letters of one value, after escaping; entries cut theirs by what they are."""
_DAY: Final = 86_400
_UNITS: Final = ((_DAY, "day"), (3_600, "hour"), (60, "minute"))


def render_page(contents: Contents) -> str:
    """Return the page as HTML.

    Args:
        contents: All that is on it.
    """
    environment = _environment()
    style, script = _text("page.css"), _text("page.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types"
    )
    return environment.get_template("page.html").render(
        page=contents,
        content_policy=policy,
        style=_markup(style),
        script=_markup(script),
        packed=_markup(pack(contents)),
        version=__version__,
        shares=shares,
        trend_of=trend_of,
    )


def _text(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _markup(text: str) -> Any:
    """Return a text of this package, or base64, as it is to stand in the page."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - nothing in it comes from a file that was scanned


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": _ago,
        "count": lambda number: f"{number:,}",
        "days": _days,
        "iso": lambda moment: moment.isoformat(timespec="seconds"),
        "models": lambda number: f"{number:,} model" if number == 1 else f"{number:,} models",
        "moment": lambda moment: f"{moment:%-d %b %Y, %H:%M} UTC",
        "pairs": lambda values: [(value, value) for value in values],
        "parameters": short_count,
        "size": short_size,
    }
    return environment


def _shown(value: Any) -> Any:
    """Return what a value is shown as; what is markup already is of this package alone."""
    if hasattr(value, "__html__"):
        return value
    return visible(str(value), _LONGEST)


def _ago(moment: datetime, now: datetime) -> str:
    """Format the time that has passed, in its largest unit."""
    seconds = int((now - moment).total_seconds())
    for length, unit in _UNITS:
        if seconds >= length:
            number = seconds // length
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "a moment"


def _days(left: int) -> str:
    """Format the days that a waiver is valid for."""
    if left <= 0:
        return "its last day" if left == 0 else "over"
    return "1 day" if left == 1 else f"{left:,} days"
