"""Attempts to state a licence so that nobody reads it, and a rule passes the model.

Each runs through `scan` on files as an uploader may put them. Beside the attempts stand honest
models that are written much alike: they pass, without an alarm.
"""

from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy
from tests.builders import ARRAY, STRING, gguf, weights
from tests.redteam.models import card, codes_of, json_of, model, scan_one

NC = "cc-by-nc-4.0"
DENYING = Policy(denied_licenses=("cc-by-nc-*",))
ALLOWING = Policy(allowed_licenses=("mit",))
HEADER_KEY = ("general.architecture", STRING, "llama")


STATED: dict[str, tuple[dict[str, bytes], dict[str, str]]] = {
    "configuration against the card": (
        {"config.json": json_of(license=NC), "README.md": card("license: mit")},
        {},
    ),
    "card against the configuration": (
        {"config.json": json_of(license="mit"), "README.md": card(f"license: {NC}")},
        {},
    ),
    "header against the configuration": ({"config.json": json_of(license="mit")}, {"license": NC}),
    "configuration against the header": ({"config.json": json_of(license=NC)}, {"license": "mit"}),
    "header against the card": ({"README.md": card("license: mit")}, {"license": NC}),
    "licence file against the card": (
        {"README.md": card("license: mit"), "LICENSE": b"CC-BY-NC-4.0\n"},
        {},
    ),
    "tokenizer": ({"tokenizer_config.json": json_of(license=NC)}, {"license": "mit"}),
    "second card": (
        {"README.md": card("license: mit"), "readme.md": card(f"license: {NC}")},
        {},
    ),
    "key twice, first": ({"config.json": f'{{"license":"{NC}","license":"mit"}}'.encode()}, {}),
    "key twice, last": ({"config.json": f'{{"license":"mit","license":"{NC}"}}'.encode()}, {}),
    "key in capitals": ({"config.json": json_of(license="mit", LICENSE=NC)}, {}),
    "card's key twice, first": ({"README.md": card(f"license: {NC}\nlicense: mit")}, {}),
    "card's key twice, last": ({"README.md": card(f"license: mit\nlicense: {NC}")}, {}),
    "card's key, a list in between": (
        {"README.md": card(f"license: mit\nlicense: [{NC}]\nlicense: mit")},
        {},
    ),
    "key with blanks": ({"README.md": card(f"license: mit\n'license ': {NC}")}, {}),
    "key in full-width letters": (
        {"README.md": card(f"license: mit\n\uff4c\uff49\uff43\uff45\uff4e\uff53\uff45: {NC}")},
        {},
    ),
    "key with an invisible letter": ({"README.md": card(f'"lic\\u200bense": {NC}')}, {}),
    "key in German": ({"README.md": card(f"license: mit\nlizenz: {NC}")}, {}),
    "key in Chinese": ({"config.json": json_of(license="mit", 许可证=NC)}, {}),
    "key in Russian": ({"config.json": json_of(license="mit", Лицензия=NC)}, {}),
    "list": ({"README.md": card(f"license: [mit, {NC}]")}, {}),
    "list of expressions": (
        {"README.md": card(f"license:\n- mit OR apache-2.0\n- {NC} OR {NC}")},
        {},
    ),
    "lists in lists": ({"README.md": card(f"license: [[[[[[mit, {NC}]]]]]]")}, {}),
    "object": ({"config.json": json_of(license={"name": "mit", "kind": NC})}, {}),
    "object in an object": ({"config.json": json_of(license={"id": "mit", "x": {"y": NC}})}, {}),
    "key of an object": ({"config.json": json_of(license={NC: None})}, {}),
    "objects in a list": ({"config.json": json_of(license=["mit", {"spdx": NC}])}, {}),
    "number before it": ({"config.json": json_of(license=[7, NC])}, {}),
    "name beside it": ({"README.md": card(f"license: mit\nlicense_name: {NC}")}, {}),
    "link beside it": (
        {
            "README.md": card(
                "license: mit\nlicense_link: https://creativecommons.org/licenses/by-nc/4.0/"
            )
        },
        {},
    ),
    "tag": ({"README.md": card(f"license: mit\ntags: ['license:{NC}']")}, {}),
    "one tag": ({"README.md": card(f"license: mit\ntags: license:{NC}")}, {}),
    "exception": ({"README.md": card("license: CC-BY-NC-4.0 WITH Classpath-exception-2.0")}, {}),
    "exception that nobody knows": ({"README.md": card("license: CC-BY-NC-4.0 WITH mine")}, {}),
    "plus": ({"README.md": card("license: CC-BY-NC-4.0+")}, {}),
    "or later": ({"README.md": card("license: CC-BY-NC-4.0-or-later")}, {}),
    "or any later version": (
        {"README.md": card("license: CC BY-NC 4.0 or any later version")},
        {},
    ),
    "brackets": ({"README.md": card("license: ((CC-BY-NC-4.0))")}, {}),
    "brackets that do not close": ({"README.md": card("license: '((CC-BY-NC-4.0'")}, {}),
    "full-width letters": (
        {"README.md": card("license: \uff23\uff23\u3000\uff22\uff39\uff0d\uff2e\uff23 4.0")},
        {},
    ),
    "Chinese": ({"README.md": card("license: 知识共享 署名-非商业性使用 4.0")}, {}),
    "mixed AND": ({"README.md": card(f"license: (mit OR apache-2.0) AND {NC}")}, {}),
}


@pytest.mark.parametrize(("files", "metadata"), STATED.values(), ids=STATED)
def test_of_several_statements_the_denied_one_decides(
    tmp_path: Path, files: dict[str, bytes], metadata: dict[str, str]
) -> None:
    result = scan_one(tmp_path, model(files, **metadata), DENYING)
    assert result.verdict.status == "failed"
    assert [one.code for one in result.verdict.reasons] == ["policy/license"]
    assert scan_one(tmp_path, {}, ALLOWING).verdict.status == "failed"


FIRST = {"card": "acme-card", "header": "acme-header", "config": "acme-config"}


@pytest.mark.parametrize(
    ("places", "shown"),
    [
        (("card", "header", "config"), "acme-card"),
        (("card", "config"), "acme-card"),
        (("header", "config"), "acme-header"),
        (("config",), "acme-config"),
    ],
    ids=" ".join,
)
def test_the_field_shows_the_card_else_the_header_else_the_configuration(
    tmp_path: Path, places: tuple[str, ...], shown: str
) -> None:
    stated = {place: text for place, text in FIRST.items() if place in places}
    files = {}
    if "card" in stated:
        files["README.md"] = card(f"license: {stated['card']}")
    if "config" in stated:
        files["config.json"] = json_of(license=stated["config"])
    metadata = {"license": stated["header"]} if "header" in stated else {}
    whole = scan_one(tmp_path / "file", model(files, **metadata), Policy())
    shards = {
        f"model-0000{n}-of-00002.safetensors": weights(
            [(f"{n}.weight", "F32", (2, 2))], {"format": "pt", **metadata}
        )
        for n in (1, 2)
    }
    index = json_of(
        weight_map={f"{n}.weight": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    )
    shards["model.safetensors.index.json"] = index
    of_set = scan_one(tmp_path / "set", {**files, **shards}, Policy())
    for result in (whole, of_set):
        assert result.sbom.license == shown
        assert [one["value"] for one in result.facts["licenses"]] == list(stated.values())
        assert ("sbom/license-conflict" in codes_of(result)) is (len(places) > 1)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "非商用",
            "非商业",
            "非商業",
            "不可商用",
            "禁止商用",
            "商用利用不可",
            "비상업적",
            "仅供学术研究",
        ),
        *("Некоммерческая лицензия", "НЕКОММЕРЧЕСКАЯ ЛИЦЕНЗИЯ", "Лицензия Акме"),
        *("ترخيص غير تجاري", "רישיון לא מסחרי", "गैर-वाणिज्यिक", "研究用途限定"),
    ],
)
def test_a_licence_in_other_letters_is_shown_and_denied(tmp_path: Path, text: str) -> None:
    for place, files in {
        "card": {"README.md": card(f"license: {text}")},
        "config": {"config.json": json_of(license=text)},
    }.items():
        result = scan_one(tmp_path / place, model(files), Policy(require_license=True))
        assert result.passed
        assert result.sbom.license == text
        assert codes_of(result) == ["sbom/license-unknown"]
        for policy in (Policy(denied_licenses=(text.upper(),)), ALLOWING):
            assert scan_one(tmp_path / place, {}, policy).verdict.status == "failed"


@pytest.mark.parametrize("entry", ["nc", "non-commercial", "非商用", "*noncommercial*"])
@pytest.mark.parametrize("text", ["非商用", "不可商用", "Некоммерческая", "غير تجاري", "비상업"])
def test_non_commercial_is_one_term_in_all_languages(tmp_path: Path, entry: str, text: str) -> None:
    files = model({"README.md": card(f"license: {text}")})
    assert not scan_one(tmp_path, files, Policy(denied_licenses=(entry,))).passed


@pytest.mark.parametrize("value", [4, 4.5, True, False, 0, [1, 2], {"a": 1}], ids=repr)
def test_a_value_of_another_type_is_told(tmp_path: Path, value: Any) -> None:
    result = scan_one(tmp_path, model({"config.json": json_of(license=value)}), Policy())
    assert codes_of(result) == ["sbom/license-unknown"]
    assert result.sbom.license
    assert not scan_one(tmp_path, {}, ALLOWING).passed


GGUF_STATED: dict[str, list[tuple[str, int, Any]]] = {
    "twice": [("general.license", STRING, "mit"), ("general.license", STRING, NC)],
    "list": [("general.license", ARRAY, (STRING, ["mit", NC]))],
    "name": [("general.license", STRING, "mit"), ("general.license.name", STRING, NC)],
    "link": [
        ("general.license", STRING, "mit"),
        ("general.license.link", STRING, "https://creativecommons.org/licenses/by-nc/4.0/"),
    ],
}


@pytest.mark.parametrize("keys", GGUF_STATED.values(), ids=GGUF_STATED)
def test_every_licence_of_a_header_counts(tmp_path: Path, keys: list[tuple[str, int, Any]]) -> None:
    files = {"m.gguf": gguf((HEADER_KEY, *keys)).data}
    assert scan_one(tmp_path, files, DENYING).verdict.status == "failed"


HONEST: dict[str, dict[str, bytes]] = {
    "card": {"README.md": card("license: mit")},
    "card and configuration": {
        "README.md": card("license: MIT"),
        "config.json": json_of(license="mit"),
    },
    "card and licence file": {"README.md": card("license: mit"), "LICENSE": b"MIT License\n"},
    "name and link": {
        "README.md": card(
            "license: mit\nlicense_name: MIT\nlicense_link: https://opensource.org/licenses/MIT"
        )
    },
    "object": {"config.json": json_of(license={"name": "MIT", "approved": True})},
    "no value": {"README.md": card("license: mit"), "config.json": json_of(license=None)},
    "choice": {"README.md": card(f"license: mit OR {NC}")},
    "licence of a data set": {
        "README.md": card(f"license: mit\ndataset_license: {NC}\ntags: [text]")
    },
    "other words": {"README.md": card("license: mit\nlanguage: no\nlicensor: Acme")},
}


@pytest.mark.parametrize("files", HONEST.values(), ids=HONEST)
def test_an_honest_licence_passes_without_an_alarm(tmp_path: Path, files: dict[str, bytes]) -> None:
    for policy in (DENYING, ALLOWING):
        result = scan_one(tmp_path, model(files), policy)
        assert result.passed, result.verdict
        assert codes_of(result) == []
