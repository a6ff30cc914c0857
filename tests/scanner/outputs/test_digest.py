"""The digest: a silent day is one line; a loud one says what, why, whose, and what to do."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from prefect_mutagen.scanner.outputs.digest import (
    digest_counts,
    digest_document,
    digest_headline,
    digest_markdown,
    is_quiet,
)
from prefect_mutagen.scanner.outputs.page.contents import Contents
from prefect_mutagen.scanner.outputs.page.entries import Entry, Kind
from prefect_mutagen.scanner.outputs.page.from_table import read_table
from prefect_mutagen.scanner.policy.policy import Owner
from prefect_mutagen.scanner.results import Summary
from prefect_mutagen.scanner.table.table import Table
from tests.report_tables import NOW, POLICY, judged, scan_at, write_history
from tests.scanner.outputs.writing import NASTY

DAY = timedelta(days=1)
OWNERS = (Owner("research-lab", "lab@example.org"),)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    table = str(tmp_path_factory.mktemp("digest") / "table")
    write_history(table, 60, owners=OWNERS)
    return read_table(table, since=NOW - DAY, now=NOW + DAY / 24)


def _sections(markdown: str) -> list[str]:
    return re.findall(r"^## (.*)$", markdown, re.MULTILINE)


def test_a_loud_day(contents: Contents) -> None:
    said = digest_markdown(contents)
    assert said.startswith("# 6 newly refused, 1 added, 1 removed\n")
    assert "60 models, 48 passed, 11 refused, 1 unknown." in said
    assert _sections(said) == ["Newly refused (6)", "Added, and passed (1)", "Removed (1)"]
    card = said.split("\n### ")[1]
    assert "passed before, last on 26 Nov 2026, 02:00 UTC; its files changed" in card
    assert "`policy/license`: licence CC-BY-NC-4.0 is forbidden" in card
    assert "decided by `denied_licenses: [cc-by-nc-*]`" in card
    assert "owner: lab\\@example.org" in card
    assert "summarize (completed, other bytes, flow run `5f0c3a52" in card


def test_its_waivers_can_be_pasted(contents: Contents) -> None:
    blocks = [
        yaml.safe_load(token.content)["waivers"]
        for token in MarkdownIt("commonmark").parse(digest_markdown(contents))
        if token.type == "fence" and token.info == "yaml"
    ]
    assert len(blocks) == 6
    newly = [one for one in contents.rows if one.kind == "newly-refused"]
    assert {entry["url"] for block in blocks for entry in block} == {one.url for one in newly}


def test_as_plain_values(contents: Contents) -> None:
    document = digest_document(contents)
    assert document["counts"] == digest_counts(contents)
    assert document["counts"]["newly_refused"] == 6 == len(document["newly_refused"])
    assert document["counts"]["models"] == 60
    first = document["newly_refused"][0]
    assert (first["before"], first["owner"]) == ("passed", "lab@example.org")
    assert {reason["code"] for reason in first["reasons"]} >= {"policy/license"}
    assert first["waiver"].startswith("waivers:\n  - code: ")
    assert first["refused_since"] == NOW.isoformat()
    (root,) = document["roots"]
    assert root["scanned_in_period"]
    assert re.fullmatch("[0-9a-f]{64}", root["policy_digest"])
    assert [one["before"] for one in document["removed"]] == ["passed"]


def test_a_silent_day_is_one_line(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "table"), "s3://models/hub")
    for hours in (30, 1):
        moment, summary = NOW - timedelta(hours=hours), Summary()
        summary.finished_at = moment.isoformat()
        table.write(scan_at(moment, POLICY), judged(range(8), moment), summary)
    contents = read_table(table.url, since=NOW - DAY, now=NOW)
    assert is_quiet(contents)
    assert digest_markdown(contents) == (
        "Nothing changed since 26 Nov 2026, 07:00 UTC: 8 models, 7 passed, 1 refused, 0 unknown.\n"
    )
    assert digest_headline(contents) == "nothing changed"


def test_a_day_without_a_scan_is_not_silent(contents: Contents) -> None:
    late = replace(contents, basis=replace(contents.basis, since=NOW + DAY), kinds={})
    late = replace(late, kinds=dict.fromkeys(contents.kinds, 0) | _zeros(), newly_refused=0)
    assert not is_quiet(late)
    said = digest_markdown(late)
    assert said.startswith("# Not scanned\n")
    assert "`s3://models/hub` was not scanned since 27 Nov 2026, 07:00 UTC" in said
    assert not digest_document(late)["roots"][0]["scanned_in_period"]


def _zeros() -> dict[str, int]:
    kinds = ("newly-refused", "newly-unknown", "passed-again", "added", "changed", "removed")
    return dict.fromkeys(kinds, 0)


def _made_of(contents: Contents, kind: Kind, count: int, **given: str) -> Contents:
    """Return contents with one model, as often as is asked for."""
    known = next(one for one in contents.rows if one.kind == "newly-refused")
    changed: Entry = replace(known, kind=kind, **given)  # type: ignore[arg-type]
    newly = count if kind == "newly-refused" else 0
    return replace(
        contents, rows=(changed,) * count, kinds=_zeros() | {kind: count}, newly_refused=newly
    )


def test_of_many_the_first_are_at_length_and_all_are_counted(contents: Contents) -> None:
    said = digest_markdown(_made_of(contents, "newly-refused", 1000))
    assert said.count("```yaml") == 20
    assert "### And 980 more" in said
    assert "* and 930 more" in said
    assert len(said) < 100_000


@pytest.mark.parametrize("kind", ["newly-unknown", "passed-again", "changed", "removed", "added"])
def test_every_kind_has_its_section(kind: Kind, contents: Contents) -> None:
    said = digest_markdown(_made_of(contents, kind, 3))
    (section,) = _sections(said)
    assert section.endswith("(3)")
    assert said.count("\n* ") == 3


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_hostile_texts_are_texts(value: str, contents: Contents) -> None:
    """Entries are visible already; what is Markdown in them means nothing."""
    tame = _made_of(contents, "newly-refused", 1, path="a/b", owner="me", cause="it")
    from prefect_mutagen.scanner.outputs.visible import visible

    shown = visible(value, 200)
    wild = _made_of(contents, "newly-refused", 1, path=shown, owner=shown, cause=shown)

    def kinds(contents: Contents) -> list[str]:
        tokens = MarkdownIt("commonmark").parse(digest_markdown(contents))
        inner = [child.type for token in tokens for child in token.children or ()]
        return [token.type for token in tokens] + [one for one in inner if one != "text"]

    assert kinds(wild) == kinds(tame)
