"""What is on the page, in which order, and that it is one file that trusts nobody."""

import base64
import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult
from prefect_mutagen.scanner.outputs.page import collecting, entries, rendering
from prefect_mutagen.scanner.outputs.page.contents import Contents
from prefect_mutagen.scanner.outputs.page.from_table import read_table
from prefect_mutagen.scanner.outputs.page.rendering import render_page
from prefect_mutagen.scanner.policy.policy import Owner, Waiver
from prefect_mutagen.scanner.policy.publishers import Publisher
from prefect_mutagen.scanner.results import Change
from prefect_mutagen.scanner.verdicts import Reason, Verdict
from tests.browser.pages import many, page_of
from tests.packed_page import packed
from tests.report_tables import NOW, ROOT, model, write_history
from tests.scanner.outputs.writing import NASTY, made_of

SECTIONS = ["newly", "refused", "changed", "exceptions", "inventory", "trust"]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("report") / "table")
    write_history(place, 60, scans=4)
    return place


@pytest.fixture(scope="module")
def page(table: str) -> Contents:
    return read_table(table, since=NOW - DAY, now=NOW + DAY / 24)


class _Reader(HTMLParser):
    """Collects tags, ids and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_its_sections_answer_in_order(page: Contents) -> None:
    html = render_page(page)
    ids = [found for _, attributes in _Reader(html).tags if (found := attributes.get("id"))]
    assert [one for one in ids if one in SECTIONS] == SECTIONS
    (card, *_) = page.cards
    assert card.before == "passed"
    said = _Reader(html[html.index("<article") : html.index("</article>")]).text
    for text in (card.whys[0].code, card.whys[0].line, card.whys[0].remedy, "waivers:"):
        assert text in said
    text = " ".join(said.split())
    assert "It last passed 26 Nov 2026, 02:00 UTC; refused since 27 Nov 2026, 07:00 UTC" in text
    assert "UTC, because its files changed." in text


def test_what_is_newly_refused_and_what_else_changed(page: Contents) -> None:
    rows = {entry.url: entry for entry in page.rows}
    assert page.newly_refused == len([one for one in rows.values() if one.kind == "newly-refused"])
    assert {entry.before for entry in rows.values() if entry.kind == "newly-refused"} <= {
        *("passed", "absent"),
    }
    gone = [entry for entry in rows.values() if entry.status == "removed"]
    assert gone
    assert all(entry.before in ("passed", "failed", "unknown") for entry in gone)
    assert page.models == 60 == page.passed + page.failed + page.unknown
    causes = {entry.cause for entry in rows.values()} - {""}
    assert causes == {"its files changed", "the policy changed; its files did not"}
    assert page.changed == sum(page.kinds.values()) - page.newly_refused


def test_refusals_have_an_age_and_their_agents(page: Contents) -> None:
    refused = [entry for entry in page.rows if entry.status in ("failed", "unknown")]
    assert all(entry.since is not None and entry.since <= NOW for entry in refused)
    assert {entry.since for entry in refused if entry.kind == "newly-refused"} == {NOW}
    assert min(entry.since for entry in refused if entry.since) < NOW - 2 * DAY
    used = next(entry for entry in refused if entry.uses)
    assert {use.agent for use in used.uses} == {"summarize", "index"}
    assert any(not use.is_current for entry in refused for use in entry.uses)


def test_exceptions_and_what_the_page_was_made_from(page: Contents) -> None:
    assert [one.code for one in page.waivers] == ["template/escape"]
    assert page.unused_waivers
    assert [one.code for one in page.warnings] == ["sbom/quantization-disagrees"]
    (root,) = page.roots
    assert len(root.trend) == 4
    assert root.compared == "its state as of 26 Nov 2026, 02:00 UTC"
    assert re.fullmatch("[0-9a-f]{64}", root.policy_digest)
    assert any(line.startswith("denied_licenses") for line in root.policy_lines)
    assert page.overlooked > 0
    assert {facet.name for facet in page.facets} == {
        *("architecture", "license", "format", "size_class", "publisher"),
    }


def test_what_was_not_scanned_in_the_period_is_told(table: str, page: Contents) -> None:
    late = read_table(table, since=NOW + DAY, now=NOW + 2 * DAY)
    assert not page.stale
    assert [root.source for root in late.stale] == [ROOT]
    assert late.newly_refused == late.changed == 0
    assert "Not scanned in this period" in render_page(late)
    assert "Not scanned in this period" not in render_page(page)


def test_owners_have_a_column_where_the_policy_names_them(tmp_path: Path, page: Contents) -> None:
    table = str(tmp_path / "table")
    owners = (Owner("google", "vision@example.org"), Owner("research-lab", "<b>lab</b>"))
    write_history(table, 60, owners=owners)
    owned = read_table(table, since=NOW - DAY, now=NOW)
    assert not page.has_owners
    assert 'class="col-owner"' not in render_page(page)
    assert owned.has_owners
    html = render_page(owned)
    assert 'class="col-owner"' in html
    assert {group.owner for group in owned.groups} >= {"", "<b>lab</b>"}
    assert sum(count for _, count in owned.owners) == owned.refused
    assert 'data-set="owner" data-value="&lt;b&gt;lab&lt;/b&gt;"' in html
    assert "<b>lab</b>" not in html
    rows = {row["path"]: row.get("owner", "") for row in packed(html)["rows"]}
    assert {owner for path, owner in rows.items() if path.startswith("google/")} == {
        "vision@example.org"
    }
    assert owned.roots[0].policy_digest == page.roots[0].policy_digest, "owners decide nothing"
    assert "Owner" in {facet.title for facet in owned.facets}


def test_it_is_one_file_with_one_program_and_one_style() -> None:
    html = page_of(many(40))
    tags = _Reader(html).tags
    policy = next(tag["content"] for name, tag in tags if tag.get("http-equiv"))
    assert policy is not None
    for kind in ("script", "style"):
        text = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    addresses = [
        value
        for name, tag in tags
        for key, value in tag.items()
        if key in ("src", "srcset", "href", "action", "data", "style") or key.startswith("on")
    ]
    assert all(value and value.startswith("#") for value in addresses)


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_hostile_texts_forge_no_tag(value: str, one_model: str) -> None:
    def tags(text: str) -> list[str]:
        return [name for name, _ in _Reader(page_of([made_of(text, one_model, "m.gguf")])).tags]

    result = made_of(value, one_model)
    html = page_of([result])
    assert tags(value) == tags("tame")
    assert html.isprintable() or all(letter.isprintable() or letter == "\n" for letter in html)
    shown = json.dumps(packed(html), ensure_ascii=False)
    assert all(letter.isprintable() for letter in shown)


def test_a_policy_is_shown_and_turns_nothing_around() -> None:
    waiver = Waiver("gguf/truncated", "*", "</pre><b>\u202egnihton", "me", "2026-12-31")
    html = page_of([model(1, NOW)], Policy(waivers=(waiver,)))
    assert "&lt;/pre&gt;&lt;b&gt;\\u202egnihton" in html
    assert "\u202e" not in html


def test_a_fault_of_one_model_is_that_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_url: str, facts: Any) -> Publisher:
        if facts.get("organization") == "BAAI":
            raise RuntimeError("a bug")
        return Publisher()

    monkeypatch.setattr(entries, "publisher_of", broken)
    rows = packed(page_of(model(number, NOW) for number in range(10)))["rows"]
    (unknown,) = (row for row in rows if row["status"] == "unknown")
    assert unknown["path"].startswith("BAAI/")
    assert unknown["whys"][0][0] == "scan/internal-error"
    assert len(rows) == 10


def test_a_page_is_small_even_where_all_is_refused_and_changed() -> None:
    def results() -> Iterator[ScanResult]:
        drawn = random.Random(1)
        for number in range(500):
            codes = ("gguf/truncated", "template/escape", "policy/license")
            said = [f"{code} at byte {number * 7919}: {drawn.random()}" for code in codes]
            reasons = [
                Reason(code, "fail_on", "error", text)
                for code, text in zip(codes, said, strict=True)
            ]
            digests = [f"{drawn.getrandbits(256):064x}" for _ in range(6)]
            fields = ("header_sha256", "object:a", "template_sha256")
            pairs = zip(fields, digests[::2], digests[1::2], strict=True)
            changes = (Change("status", "passed", "failed"), *(Change(*pair) for pair in pairs))
            verdict = Verdict("failed", tuple(reasons))
            result = replace(model(number, NOW), verdict=verdict, drift="changed")
            yield replace(result, drift_details=changes)

    html = page_of(results())
    own = len(page_of([]))
    assert (len(html) - own) / 500 < (4 << 20) / 10_000


def test_more_models_than_a_page_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MOST_ROWS", 30)
    html = page_of(many(100))
    kept = [row["status"] for row in packed(html)["rows"]]
    assert len(kept) == 30
    assert kept.count("passed") < 30, "those first that a person has to look at"
    assert "70 models are counted and not listed here" in html


def _tokens(scheme: str) -> dict[str, str]:
    css = files(rendering.__package__ or "").joinpath("page.css").read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in _roots(css))
    return light | dark if scheme == "dark" else light


def _roots(css: str) -> Iterator[str]:
    yield from re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 for texts; 1.4.11: 3 for what tells plots apart from the ground."""
    colours = _tokens(scheme)

    def contrast(one: str, other: str) -> float:
        light, dark = sorted((_luminance(colours[one]), _luminance(colours[other])), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for text in ("ink", "soft", "accent", "failed", "unknown", "passed"):
        for ground in ("ground", "panel"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    for status in ("failed", "unknown", "passed"):
        assert contrast(status, f"{status}-soft") >= 4.5, status
    assert contrast("bar-failed", "ground") >= 3


def test_the_files_of_the_page_are_in_the_package() -> None:
    pyproject = (Path(__file__).parents[4] / "pyproject.toml").read_text()
    assert "scanner/outputs/page/page*" in pyproject
    names = {path.name for path in files(rendering.__package__ or "").iterdir()}
    assert {"page.html", "page.css", "page.js", "page_lists.html"} <= names
