"""The text of a waiver: what to paste into a policy so that a refused model passes for a while."""

import re
from collections.abc import Iterator
from typing import Final

from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.policy.publishers import has_dot_segments
from prefect_mutagen.scanner.results import ScanResult

__all__ = ["entry_lines", "exact_pattern", "flow_entry", "scalar", "waiver_lines"]

_EXPIRED: Final = "policy/waiver-expired"
_UNSEEN: Final = ("storage/", "scan/")
_WILDCARDS: Final = re.compile(r"[*?\[]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_TO_FILL_IN: Final = {
    "reason": "  # why it may be used all the same",
    "owner": "   # who answers for it",
    "expires": " # the last day, as YYYY-MM-DD",
}
_WIDTH: Final = 1 << 30
"""No value is broken into lines."""


def waiver_lines(result: ScanResult) -> tuple[str, ...]:
    """Return the entries for a policy file that would waive all reasons of a model.

    What a person has to say is left empty, and a policy is refused until it is filled in.

    Args:
        result: The model.

    Returns:
        Lines of YAML; none where no waiver would help: nothing was read, or the address may mean
        another file.
    """
    reasons = result.verdict.reasons
    codes = [code for code in dict.fromkeys(one.code for one in reasons) if code != _EXPIRED]
    unread = result.sbom.format == "unknown" and any(
        finding.severity == "error" and finding.code.startswith(_UNSEEN)
        for finding in result.findings
    )
    ambiguous = has_dot_segments(result.url.partition("://")[2] or result.url)
    if unread or ambiguous or not codes or not all(code in CODES for code in codes):
        return ()
    pattern = exact_pattern(result.url)
    return ("waivers:", *(line for code in codes for line in entry_lines(code, pattern)))


def entry_lines(
    code: str, url: str, reason: str = "", owner: str = "", expires: str = "", *, indent: str = "  "
) -> Iterator[str]:
    """Yield one entry of a policy's waivers, a line for each field.

    Args:
        code: The code that it waives.
        url: A pattern of addresses.
        reason: Why; empty values are left to be filled in, with a comment.
        owner: Who answers for it.
        expires: The last day.
        indent: What stands before the dash.
    """
    yield f"{indent}- code: {code}"
    yield f"{indent}  url: {scalar(url, quoted=True)}"
    for name, value in (("reason", reason), ("owner", owner)):
        yield f"{indent}  {name}: {scalar(value) if value else _TO_FILL_IN[name]}"
    yield f"{indent}  expires: {expires or _TO_FILL_IN['expires']}"


def flow_entry(code: str, url: str, reason: str, owner: str, expires: str) -> str:
    """Return one entry of a policy's waivers in braces, on one line; see `entry_lines`."""
    fields = {"code": code, "url": url, "reason": reason, "owner": owner, "expires": expires}
    said = (f"{name}: {scalar(value, quoted=True)}" for name, value in fields.items())
    return f"{{{', '.join(said)}}}"


def exact_pattern(url: str) -> str:
    """Return a pattern that matches an address and nothing else.

    Bytes of a name that are no text can be written in no file of text: ``?`` matches each.
    """
    return _SURROGATES.sub("?", _WILDCARDS.sub(lambda found: f"[{found[0]}]", url))


def scalar(text: str, *, quoted: bool = False) -> str:
    """Return a text as a value of YAML on one line.

    Args:
        text: Any text.
        quoted: Whether to quote it though it needs no quotes.
    """
    import yaml

    readable = text.isprintable()
    style = '"' if quoted or not readable else None
    said = yaml.safe_dump(text, default_style=style, width=_WIDTH, allow_unicode=readable)
    # PyYAML marks the end of a plain value.
    return said.strip().removesuffix("\n...").strip()
