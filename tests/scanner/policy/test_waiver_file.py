"""A waiver is written into a policy's text: everything else of it stays as it was."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from prefect_mutagen.scanner.policy.policy import Policy, SeverityChange, Waiver, load_policy
from prefect_mutagen.scanner.policy.waiver_file import check_waiver, with_waiver
from tests.dates import SOON

TODAY = datetime.now(UTC).date()
LATER = (TODAY + timedelta(days=400)).isoformat()
NEW = Waiver("gguf/truncated", "s3://models/a: [b] #c/größe.gguf", 'it\'s "tried"', "ana", SOON)
KNOWN = f"""\
  - code: policy/license
    url: s3://models/research/*  # all of them
    reason: agreed
    owner: ana@example.org
    expires: {SOON} # the last day
"""

TEXTS = {
    "no waivers": "# A policy.\nmax_size_bytes: 10  # small ones\n\n# The end.\n",
    "no line end": "max_size_bytes: 10",
    "a comment at the end": "max_size_bytes: 10\n# waivers:\n",
    "waivers in the middle": f"waivers:\n{KNOWN}\n# Limits\nmax_size_bytes: 10\n",
    "waivers at the end": f"max_size_bytes: 10\nwaivers:\n{KNOWN}# The end.\n",
    "not indented": "waivers:\n" + KNOWN.replace("\n  ", "\n")[2:] + "\nmax_size_bytes: 10\n",
    "indented by four": "waivers:\n" + "".join(f"    {line}\n" for line in KNOWN.splitlines()),
    "windows": f"waivers:\n{KNOWN}max_size_bytes: 10\n".replace("\n", "\r\n"),
    "entries in braces": (
        "waivers:\n  # why\n"
        f"  - {{code: policy/license, url: '*', reason: r, owner: o, expires: {SOON}}} # so\n"
    ),
    "a text in a block": (
        f"waivers:\n  - code: policy/license\n    url: '*'\n    owner: o\n    expires: {SOON}\n"
        "    reason: |\n      of two\n      lines\n\nmax_size_bytes: 10\n"
    ),
    "a document": f"---\nwaivers:\n{KNOWN}...\n",
    "none in brackets": "waivers: []  # none yet\nmax_size_bytes: 10\n",
    "some in brackets": (
        f"waivers: [{{code: policy/license, url: '*', reason: r, owner: o, expires: {SOON}}}]\n"
    ),
    "a comma at the end": (
        "waivers: [\n"
        f"  {{code: policy/license, url: '*', reason: r, owner: o, expires: {SOON}}},\n]\n"
    ),
    "unicode before it": f"# größe 模型 \U0001f9ea\nwaivers:\n{KNOWN}max_size_bytes: 10\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_everything_else_stays(text: str) -> None:
    before = load_policy(text)
    added = with_waiver(text, NEW)
    assert load_policy(added) == replace(before, waivers=(*before.waivers, NEW))
    kept = [line for line in added.splitlines() if line in text.splitlines()]
    changed = {"windows": 0, "none in brackets": 1, "some in brackets": 1, "a comma at the end": 1}
    name = next(name for name, one in TEXTS.items() if one is text)
    assert len(kept) >= len(text.splitlines()) - changed.get(name, 0), added
    if "\r\n" in text:
        assert added.count("\n") == added.count("\r\n")
    again = with_waiver(added, replace(NEW, code="template/escape"))
    assert len(load_policy(again).waivers) == len(before.waivers) + 2


def test_where_it_is_written() -> None:
    text = f"waivers:\n{KNOWN}\n# Limits\nmax_size_bytes: 10\n"
    added = with_waiver(text, replace(NEW, url="s3://models/a.gguf", reason="tried"))
    assert added == text.replace(
        KNOWN,
        KNOWN
        + '  - code: gguf/truncated\n    url: "s3://models/a.gguf"\n    reason: tried\n'
        + f"    owner: ana\n    expires: {SOON}\n",
    )


def test_json_stays_json() -> None:
    text = '{"max_size_bytes": 10, "denied_licenses": ["gpl-3.0"]}'
    given = json.loads(with_waiver(text, NEW))
    assert list(given) == ["max_size_bytes", "denied_licenses", "waivers"]
    assert given["waivers"][0]["url"] == NEW.url


@pytest.mark.parametrize(
    "text",
    [
        "{max_size_bytes: 10}",
        "a: &x []\nwaivers: *x\n",
        f"waivers: [{{code: policy/size, url: '*', reason: r, owner: o, expires: {SOON}}} # c\n]",
        "  max_size_bytes: 10\n",
    ],
)
def test_what_cannot_be_added_to_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"without writing the file anew|no field"):
        with_waiver(text, NEW)


def test_a_broken_policy_is_not_made_whole() -> None:
    for text in ("", "# nothing\n", "max_sise_bytes: 1\n", "a: [\n"):
        with pytest.raises(ValueError, match="policy"):
            with_waiver(text, NEW)


def _problem(waiver: Waiver, policy: Policy | None = None, today: date = TODAY) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        check_waiver(waiver, policy or Policy(), today)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_waiver_without_effect_is_refused() -> None:
    check_waiver(NEW, Policy(), TODAY)
    check_waiver(replace(NEW, expires=TODAY.isoformat()), Policy(), TODAY)
    yesterday = (TODAY - timedelta(days=1)).isoformat()
    assert "is past" in _problem(replace(NEW, expires=yesterday))
    assert "another file" in _problem(replace(NEW, url="s3://models/a/../b.gguf"))
    for code in ("storage/other-pin", "storage/weak-pin", "scan/internal-error"):
        assert "cannot be waived" in _problem(replace(NEW, code=code))
    with pytest.raises(ValueError, match="no finding"):
        replace(NEW, code="policy/waiver-expired")
    warning = replace(NEW, code="sbom/quantization-disagrees")
    assert "a warning" in _problem(warning)
    check_waiver(warning, Policy(fail_on="warning"), TODAY)
    raised = Policy(severities=(SeverityChange("sbom/*", "error"),))
    check_waiver(warning, raised, TODAY)
    assert "an info" in _problem(replace(NEW, code="signature/verified"), Policy(fail_on="warning"))


@pytest.mark.parametrize("known", ["s3://models/a.gguf", "s3://models/*", "*"])
def test_what_is_waived_already_is_refused(known: str) -> None:
    policy = Policy(waivers=(replace(NEW, url=known),))
    waiver = replace(NEW, url="s3://models/a.gguf")
    assert f"until {SOON} already" in _problem(waiver, policy)
    check_waiver(replace(waiver, expires=LATER), policy, TODAY)
    check_waiver(replace(waiver, code="template/escape"), policy, TODAY)
    check_waiver(replace(waiver, url="s3://other/a.gguf"), Policy(waivers=(waiver,)), TODAY)


def test_an_address_with_wildcards_of_its_own_is_waived_once() -> None:
    policy = Policy(waivers=(replace(NEW, url="s3://m/[[]a].gguf"),))
    assert "already" in _problem(replace(NEW, url="s3://m/[[]a].gguf"), policy)
    assert "already" in _problem(
        replace(NEW, url="s3://m/[[]a].gguf"), Policy(waivers=(replace(NEW, url="s3://m/*"),))
    )
