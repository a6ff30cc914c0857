"""The page in a real browser: it finds, it fits, and nothing from a file runs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from prefect_mutagen.scanner import ScanResult
from prefect_mutagen.scanner.results import Change
from prefect_mutagen.scanner.verdicts import Reason, Verdict
from tests.browser.pages import many, page_of
from tests.report_tables import NOW, STRICTER, judged, model
from tests.scanner.outputs.writing import NASTY, made_of

pytestmark = pytest.mark.browser

MANY = 10_000
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
HOSTILE = NASTY | {
    "image": "<img src=x onerror=\"document.title='run'\">",
    "end-of-script": "</script><script>document.title='run'</script>",
    "end-of-style": "</style><svg onload=\"document.title='run'\">",
    "attribute": '" autofocus onfocus="document.title=\'run\'" x="',
    "address": "javascript:document.title='run'",
    "frame": "<iframe srcdoc=\"<script>parent.document.title='run'</script>\">",
    "prototype": "__proto__",
    "expression": "{{ self }} {% raw %}",
}


@pytest.fixture(scope="module")
def large() -> str:
    return page_of(many(MANY))


@pytest.fixture(scope="module")
def small() -> str:
    return page_of([*many(29), *_long()])


def _long() -> Iterator[ScanResult]:
    """Yield models whose every text is long, and has no place to break it."""
    for number in range(29, 32):
        result = model(number, NOW)
        text = "x" * 900
        sbom = replace(result.sbom, architecture=text, quantization=text)
        reason = Reason("policy/license", "denied_licenses", text, text)
        refused = Verdict("failed", (reason,))
        yield replace(
            result,
            url=f"{result.url}/{text}/{text}",
            sbom=sbom,
            license_spdx=text,
            facts={"organization": text},
            verdict=refused if number % 2 else Verdict("passed", (), (reason,)),
            drift="changed",
            drift_details=(Change("status", "passed", "failed"), Change(text, text, text)),
        )


def _said_by(value: str, root: str) -> Iterator[ScanResult]:
    """Yield models that say a value wherever one can: refused, waived, changed."""
    result = made_of(value, root)
    change = Change(value, value, value)
    reason = Reason("policy/license", "denied_licenses", value, value)
    yield replace(result, drift="changed", drift_details=(change,))
    waived = Verdict("passed", (), (replace(reason, value=f"until 2027-01-01, {value}"),))
    yield replace(result, url=f"{result.url}.w", verdict=waived, drift="unchanged")
    yield replace(result, url=value, verdict=Verdict("failed", (reason,)), drift="added")


def test_nothing_from_a_file_runs(visit: Callable[..., Any], one_model: str) -> None:
    results = [result for value in HOSTILE.values() for result in _said_by(value, one_model)]
    seen = visit(page_of(results))
    page = seen.page
    title = page.title()
    for button in page.locator(".more").all():
        while button.is_visible():
            button.click()
    page.evaluate("document.querySelectorAll('.open').forEach(button => button.click())")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.locator(".detail").count() >= 3 * len(HOSTILE)
    assert page.locator("script").count() == 2
    found = "img, iframe, object, embed, link, base, image, use, foreignObject, animate"
    assert page.locator(found).count() == 0
    attributes = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(one => [...one.attributes])"
        ".filter(one => one.name.startsWith('on') || /^\\s*javascript:/i.test(one.value))"
        ".map(one => [one.ownerElement.localName, one.name])"
    )
    assert set(map(tuple, attributes)) <= {
        ("option", "value"),
        ("button", "data-value"),
    }
    assert all(
        link.startswith("#")
        for link in page.evaluate("[...document.links].map(one => one.getAttribute('href'))")
    )
    page.wait_for_timeout(300)
    assert page.title() == title
    assert (seen.said, len(seen.requests)) == ([], 1)


def test_what_got_past_the_escapes_would_not_run(visit: Callable[..., Any], small: str) -> None:
    image = "<img src='https://example.invalid/x' onerror=\"document.title='run'\">"
    forged = f"<script>document.title='run'</script>{image}"
    seen = visit(small.replace("<main>", f"<main>{forged}"))
    seen.page.wait_for_timeout(300)
    assert "run" not in seen.page.title()
    assert seen.blocked == ["csp"]
    assert len([text for text in seen.said if "Content Security Policy" in text]) >= 3
    with pytest.raises(Exception, match="TrustedHTML"):
        seen.page.evaluate("document.body.innerHTML = '<b>x</b>'")


def test_searching_and_filtering_many(
    visit: Callable[..., Any], large: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(large.encode()) < 4 << 20
    page = visit(large, viewport=DESKTOP).page
    search = """(text) => {
        const input = document.querySelector('[data-listing=inventory] input');
        const begun = performance.now();
        input.value = text;
        input.dispatchEvent(new Event('input', { bubbles: true }));
        document.body.getBoundingClientRect();
        return performance.now() - begun;
    }"""
    took = [page.evaluate(search, text) for text in ("q", "qw", "qwen3 v7", "nothing at all", "")]
    choose = """([name, value]) => {
        const select = document.querySelector(`[data-listing=inventory] [data-filter=${name}]`);
        const begun = performance.now();
        select.value = value;
        select.dispatchEvent(new Event('input', { bubbles: true }));
        document.body.getBoundingClientRect();
        return performance.now() - begun;
    }"""
    took += [page.evaluate(choose, ["license", "MIT"]), page.evaluate(choose, ["status", "failed"])]
    with capsys.disabled():
        print(f"\n{MANY:,} models: {len(large) / MANY:.0f} bytes each, slowest of", end=" ")
        print(f"{len(took)} searches and filters {max(took):.1f} ms")
    shown = page.locator("[data-listing=inventory] .found").inner_text()
    wanted = [one for one in judged(range(MANY), NOW, STRICTER) if one.verdict.status == "failed"]
    assert shown.startswith(f"{sum(one.license_spdx == 'MIT' for one in wanted)} of 10,000 models")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_it_fits(visit: Callable[..., Any], small: str, scheme: str, width: Any) -> None:
    seen = visit(small, viewport=width, color_scheme=scheme)
    page = seen.page
    page.evaluate("document.querySelectorAll('.open').forEach(button => button.click())")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width["width"]
    cells = page.locator("#refused .listing tbody th").all()
    assert cells
    assert all(cell.bounding_box()["width"] > width["width"] / 4 for cell in cells)
    detail = page.locator("#refused .detail td").first.bounding_box()
    assert detail["width"] > width["width"] / 2
    assert not seen.said


def test_it_is_used_by_keyboard(visit: Callable[..., Any], small: str) -> None:
    page = visit(small, viewport=DESKTOP).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    opener = page.locator("#inventory .open").first
    opener.focus()
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    assert page.locator("#inventory .detail").is_visible()
    page.keyboard.press("Enter")
    assert page.locator("#inventory .detail").count() == 0
    page.locator("#inventory [data-sort=size]").focus()
    page.keyboard.press("Enter")
    assert page.locator("#inventory th.col-size").get_attribute("aria-sort") == "ascending"
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select, summary, a')]"
        ".filter(one => one.getClientRects().length)"
        ".filter(one => !(one.textContent || one.closest('label')?.textContent || '').trim())"
        ".map(one => one.outerHTML)"
    )
    assert not unnamed
    for landmark in ("main", "nav[aria-label]", "header", "footer"):
        assert page.locator(landmark).count() >= 1
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("h1").count() == 1


def test_a_reason_leads_to_its_models(visit: Callable[..., Any], large: str) -> None:
    page = visit(large, viewport=DESKTOP).page
    line = page.locator("#refused .groups tbody tr", has_text="policy/license")
    count = line.locator("td").first.inner_text()
    line.locator(".go").click()
    found = page.locator("#refused .found").inner_text()
    assert found.startswith(f"{count} of ")
    page.locator("#refused form button[type=reset]").click()
    page.locator("#refused .found", has_text="models, the first").wait_for()


def test_a_waiver_is_copied(visit: Callable[..., Any], small: str) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    page = visit(small, viewport=DESKTOP, permissions=permissions).page
    page.locator("#newly details summary").first.click()
    page.locator("#newly .copy").first.click()
    page.locator("#newly .copy", has_text="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#newly pre").first.text_content()


def test_print_has_more_and_no_controls(visit: Callable[..., Any], large: str) -> None:
    page = visit(large, viewport=DESKTOP).page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#refused .listing tbody tr").count() == 300
    assert not page.locator("#refused form").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#refused .listing tbody tr").count() == 15


def test_without_its_program_the_news_are_there(visit: Callable[..., Any], small: str) -> None:
    page = visit(small, waits=False, java_script_enabled=False).page
    assert page.locator("#newly .card").count() >= 1
    assert page.locator("noscript").count() == 1
    assert page.locator("#refused .groups").is_visible()


def test_a_cut_page_says_so(visit: Callable[..., Any], small: str) -> None:
    start = small.index('id="packed">') + 400
    page = visit(small[:start] + small[start + 40 :], waits=False).page
    page.wait_for_selector("#broken:not([hidden])")
    assert "could not be unpacked" in page.locator("#broken").inner_text()
