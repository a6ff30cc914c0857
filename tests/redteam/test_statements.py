"""Attempts to state a licence or a template so that nobody reads it, and a rule passes the model.

Each runs through `scan` on files as an uploader may put them. Beside the attempts stand honest
models that are written much alike: they pass, without an alarm.
"""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from prefect_mutagen.scanner import Policy, ScanResult, scan
from tests.builders import ARRAY, STRING, gguf, weights
from tests.processes import run_unprivileged
from tests.scanner.storing import put_local
from tests.servers import S3Server, WebServer

NC = "cc-by-nc-4.0"
DENYING = Policy(denied_licenses=("cc-by-nc-*",))
ONE_LOADER = Policy(denied_licenses=("cc-by-nc-*",), loaders=("transformers",))
ALLOWING = Policy(allowed_licenses=("mit",))
SOUND = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
ESCAPE = "{{ ''.__class__.__mro__ }}"
SHA256 = hashlib.sha256(SOUND.encode()).hexdigest()
WEIGHTS = [("a.weight", "F32", (2, 2))]
HEADER_KEY = ("general.architecture", STRING, "llama")


def _card(text: str) -> bytes:
    return f"---\n{text}\n---\n# A model\n".encode()


def _model(files: Mapping[str, bytes], **metadata: str) -> dict[str, bytes]:
    return {"model.safetensors": weights(WEIGHTS, {"format": "pt", **metadata}), **files}


def _scan(folder: Path, files: Mapping[str, bytes], policy: Policy) -> ScanResult:
    (result,) = scan(put_local(folder, files), policy=policy)
    return result


def _codes(result: ScanResult) -> list[str]:
    return [finding.code for finding in result.findings]


# ---------------------------------------------------------------- what cannot be read


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def _socket(path: Path) -> None:
    where = os.getcwd()
    os.chdir(path.parent)  # its address has to be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(where)


UNREADABLE: dict[str, Callable[[Path], None]] = {
    "dangling link": lambda path: path.symlink_to(path.parent / "nowhere"),
    "link to itself": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "device": _device,
    "socket": _socket,
}
LICENSE_FILES = ("README.md", "readme.md", "LICENSE", "LICENSE-MODEL.txt", "COPYING")
LOADED_FILES = (
    *("config.json", "generation_config.json", "adapter_config.json", "tokenizer_config.json"),
    *("chat_template.jinja", "chat_template.json", "processor_config.json", "modules.json"),
    "additional_chat_templates/tool.jinja",
)


def _unread(folder: Path, name: str, kind: str) -> str:
    put_local(folder, _model({}))
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    UNREADABLE[kind](path)
    return str(folder)


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", LICENSE_FILES)
@pytest.mark.parametrize(
    "policy",
    [DENYING, ALLOWING, Policy(require_license=True), ONE_LOADER],
    ids=["denying", "allowing", "requiring", "of one loader"],
)
def test_a_licence_that_cannot_be_read_is_no_licence(
    tmp_path: Path, name: str, kind: str, policy: Policy
) -> None:
    (result,) = scan(_unread(tmp_path, name, kind), policy=policy)
    assert result.verdict.status == "unknown"
    (reason,) = result.verdict.reasons
    assert (reason.code, reason.value) == ("policy/license-unexamined", name)
    assert reason.message.startswith(f"{name} cannot be read: ")
    assert _codes(result) == ["sbom/neighbour-unread"]


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", LOADED_FILES)
def test_what_a_loader_opens_and_nobody_could_read_is_unknown(
    tmp_path: Path, name: str, kind: str
) -> None:
    (result,) = scan(_unread(tmp_path, name, kind))
    assert result.verdict.status == "unknown"
    finding = next(one for one in result.findings if one.code == "sbom/unexamined")
    assert finding.field == name
    assert "opened by" in finding.message


@pytest.mark.parametrize("name", ["model.sig", "model.safetensors.sigstore.json"])
@pytest.mark.parametrize("kind", ["dangling link", "pipe"])
def test_a_signature_that_cannot_be_read_is_unknown_to_who_asks_for_one(
    tmp_path: Path, name: str, kind: str
) -> None:
    root = _unread(tmp_path, name, kind)
    (asked,) = scan(root, policy=Policy(require_signature=True))
    assert asked.verdict.status == "unknown"
    assert [one.code for one in asked.verdict.reasons] == ["policy/signature-unexamined"]
    (other,) = scan(root, policy=DENYING)
    assert other.passed
    assert _codes(other) == ["sbom/neighbour-unread"]


def test_a_denied_licence_stays_denied_beside_what_cannot_be_read(tmp_path: Path) -> None:
    root = _unread(tmp_path, "LICENSE", "dangling link")
    put_local(tmp_path, {"README.md": _card(f"license: {NC}")})
    (result,) = scan(root, policy=DENYING)
    assert result.verdict.status == "failed"
    assert [one.code for one in result.verdict.reasons] == ["policy/license"]


CARDS = {
    "not YAML": f"license: {NC}\n\tx: y",
    "a list": f"- license: {NC}",
    "a key that is a list": f"? [a]\n: b\nlicense: {NC}",
    "a merge key": f"<<: {{license: {NC}}}",
    "an alias of a list": f"x: &a [{NC}]\nlicense: *a",
}


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS)
def test_a_card_that_no_rule_can_read_is_unknown(tmp_path: Path, text: str) -> None:
    files = _model({"README.md": _card(text)}, license="mit")
    assert _scan(tmp_path, files, DENYING).verdict.status == "unknown"


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "config.json", "chat_template.jinja"])
def test_a_file_without_permission_is_unknown(tmp_path: Path, name: str) -> None:
    put_local(tmp_path, {f"root/{one}": data for one, data in _model({name: b"{}"}).items()})
    (tmp_path / "root" / name).chmod(0)
    (tmp_path / "policy.yaml").write_text("denied_licenses: [cc-by-nc-*]")
    done = run_unprivileged("verify", f"{tmp_path}/root", "--policy", f"{tmp_path}/policy.yaml")
    assert done.returncode == 3, done.stderr
    assert "permission denied" in done.stderr


@pytest.mark.parametrize("status", [401, 403, 410, 500])
@pytest.mark.parametrize("name", ["README.md", "LICENSE", "config.json", "tokenizer_config.json"])
def test_a_web_server_that_refuses_a_file_hides_nothing(
    tmp_path: Path, name: str, status: int
) -> None:
    put_local(tmp_path, _model({name: _card(f"license: {NC}") if name[0] in "RL" else b"{}"}))
    with WebServer(tmp_path) as site:
        site.status[f"/{name}"] = status
        (result,) = scan(f"{site.url}/model.safetensors", policy=DENYING)
    expected = "passed" if status == 410 else "unknown"
    assert result.verdict.status == expected, result.findings


def test_an_archived_card_in_a_bucket_is_unknown(s3_server: S3Server) -> None:
    bucket = s3_server.bucket(_model({}))
    card = {"Bucket": bucket, "Key": "README.md", "Body": _card(f"license: {NC}")}
    s3_server.client().put_object(**card, StorageClass="GLACIER")
    (result,) = scan(f"s3://{bucket}", policy=DENYING, storage_options=s3_server.options)
    assert [one.code for one in result.verdict.reasons] == ["policy/license-unexamined"]
    assert result.verdict.status == "unknown"


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "notes.txt", "model.sig"])
def test_without_a_rule_about_it_an_unread_file_is_a_warning(tmp_path: Path, name: str) -> None:
    (result,) = scan(_unread(tmp_path, name, "dangling link"))
    assert result.passed
    assert _codes(result) == ["sbom/neighbour-unread"] * (name != "notes.txt")


def test_a_link_that_leads_to_a_card_is_read(tmp_path: Path) -> None:
    put_local(tmp_path, {"blobs/1": _card("license: mit"), "m/model.safetensors": weights(WEIGHTS)})
    (tmp_path / "m/README.md").symlink_to("../blobs/1")
    (result,) = scan(str(tmp_path / "m"), policy=ALLOWING)
    assert result.passed
    assert result.findings == ()


# ---------------------------------------------------------------- licences


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


STATED: dict[str, tuple[dict[str, bytes], dict[str, str]]] = {
    "configuration against the card": (
        {"config.json": _json(license=NC), "README.md": _card("license: mit")},
        {},
    ),
    "card against the configuration": (
        {"config.json": _json(license="mit"), "README.md": _card(f"license: {NC}")},
        {},
    ),
    "header against the configuration": ({"config.json": _json(license="mit")}, {"license": NC}),
    "configuration against the header": ({"config.json": _json(license=NC)}, {"license": "mit"}),
    "header against the card": ({"README.md": _card("license: mit")}, {"license": NC}),
    "licence file against the card": (
        {"README.md": _card("license: mit"), "LICENSE": b"CC-BY-NC-4.0\n"},
        {},
    ),
    "tokenizer": ({"tokenizer_config.json": _json(license=NC)}, {"license": "mit"}),
    "second card": (
        {"README.md": _card("license: mit"), "readme.md": _card(f"license: {NC}")},
        {},
    ),
    "key twice, first": ({"config.json": f'{{"license":"{NC}","license":"mit"}}'.encode()}, {}),
    "key twice, last": ({"config.json": f'{{"license":"mit","license":"{NC}"}}'.encode()}, {}),
    "key in capitals": ({"config.json": _json(license="mit", LICENSE=NC)}, {}),
    "card's key twice, first": ({"README.md": _card(f"license: {NC}\nlicense: mit")}, {}),
    "card's key twice, last": ({"README.md": _card(f"license: mit\nlicense: {NC}")}, {}),
    "card's key, a list in between": (
        {"README.md": _card(f"license: mit\nlicense: [{NC}]\nlicense: mit")},
        {},
    ),
    "key with blanks": ({"README.md": _card(f"license: mit\n'license ': {NC}")}, {}),
    "key in full-width letters": (
        {"README.md": _card(f"license: mit\n\uff4c\uff49\uff43\uff45\uff4e\uff53\uff45: {NC}")},
        {},
    ),
    "key with an invisible letter": ({"README.md": _card(f'"lic\\u200bense": {NC}')}, {}),
    "key in German": ({"README.md": _card(f"license: mit\nlizenz: {NC}")}, {}),
    "key in Chinese": ({"config.json": _json(license="mit", 许可证=NC)}, {}),
    "key in Russian": ({"config.json": _json(license="mit", Лицензия=NC)}, {}),
    "list": ({"README.md": _card(f"license: [mit, {NC}]")}, {}),
    "list of expressions": (
        {"README.md": _card(f"license:\n- mit OR apache-2.0\n- {NC} OR {NC}")},
        {},
    ),
    "lists in lists": ({"README.md": _card(f"license: [[[[[[mit, {NC}]]]]]]")}, {}),
    "object": ({"config.json": _json(license={"name": "mit", "kind": NC})}, {}),
    "object in an object": ({"config.json": _json(license={"id": "mit", "x": {"y": NC}})}, {}),
    "key of an object": ({"config.json": _json(license={NC: None})}, {}),
    "objects in a list": ({"config.json": _json(license=["mit", {"spdx": NC}])}, {}),
    "number before it": ({"config.json": _json(license=[7, NC])}, {}),
    "name beside it": ({"README.md": _card(f"license: mit\nlicense_name: {NC}")}, {}),
    "link beside it": (
        {
            "README.md": _card(
                "license: mit\nlicense_link: https://creativecommons.org/licenses/by-nc/4.0/"
            )
        },
        {},
    ),
    "tag": ({"README.md": _card(f"license: mit\ntags: ['license:{NC}']")}, {}),
    "one tag": ({"README.md": _card(f"license: mit\ntags: license:{NC}")}, {}),
    "exception": ({"README.md": _card("license: CC-BY-NC-4.0 WITH Classpath-exception-2.0")}, {}),
    "exception that nobody knows": ({"README.md": _card("license: CC-BY-NC-4.0 WITH mine")}, {}),
    "plus": ({"README.md": _card("license: CC-BY-NC-4.0+")}, {}),
    "or later": ({"README.md": _card("license: CC-BY-NC-4.0-or-later")}, {}),
    "or any later version": (
        {"README.md": _card("license: CC BY-NC 4.0 or any later version")},
        {},
    ),
    "brackets": ({"README.md": _card("license: ((CC-BY-NC-4.0))")}, {}),
    "brackets that do not close": ({"README.md": _card("license: '((CC-BY-NC-4.0'")}, {}),
    "full-width letters": (
        {"README.md": _card("license: \uff23\uff23\u3000\uff22\uff39\uff0d\uff2e\uff23 4.0")},
        {},
    ),
    "Chinese": ({"README.md": _card("license: 知识共享 署名-非商业性使用 4.0")}, {}),
    "mixed AND": ({"README.md": _card(f"license: (mit OR apache-2.0) AND {NC}")}, {}),
}


@pytest.mark.parametrize(("files", "metadata"), STATED.values(), ids=STATED)
def test_of_several_statements_the_denied_one_decides(
    tmp_path: Path, files: dict[str, bytes], metadata: dict[str, str]
) -> None:
    result = _scan(tmp_path, _model(files, **metadata), DENYING)
    assert result.verdict.status == "failed"
    assert [one.code for one in result.verdict.reasons] == ["policy/license"]
    assert _scan(tmp_path, {}, ALLOWING).verdict.status == "failed"


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
        files["README.md"] = _card(f"license: {stated['card']}")
    if "config" in stated:
        files["config.json"] = _json(license=stated["config"])
    metadata = {"license": stated["header"]} if "header" in stated else {}
    whole = _scan(tmp_path / "file", _model(files, **metadata), Policy())
    shards = {
        f"model-0000{n}-of-00002.safetensors": weights(
            [(f"{n}.weight", "F32", (2, 2))], {"format": "pt", **metadata}
        )
        for n in (1, 2)
    }
    index = _json(weight_map={f"{n}.weight": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)})
    shards["model.safetensors.index.json"] = index
    of_set = _scan(tmp_path / "set", {**files, **shards}, Policy())
    for result in (whole, of_set):
        assert result.sbom.license == shown
        assert [one["value"] for one in result.facts["licenses"]] == list(stated.values())
        assert ("sbom/license-conflict" in _codes(result)) is (len(places) > 1)


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
        "card": {"README.md": _card(f"license: {text}")},
        "config": {"config.json": _json(license=text)},
    }.items():
        result = _scan(tmp_path / place, _model(files), Policy(require_license=True))
        assert result.passed
        assert result.sbom.license == text
        assert _codes(result) == ["sbom/license-unknown"]
        for policy in (Policy(denied_licenses=(text.upper(),)), ALLOWING):
            assert _scan(tmp_path / place, {}, policy).verdict.status == "failed"


@pytest.mark.parametrize("entry", ["nc", "non-commercial", "非商用", "*noncommercial*"])
@pytest.mark.parametrize("text", ["非商用", "不可商用", "Некоммерческая", "غير تجاري", "비상업"])
def test_non_commercial_is_one_term_in_all_languages(tmp_path: Path, entry: str, text: str) -> None:
    files = _model({"README.md": _card(f"license: {text}")})
    assert not _scan(tmp_path, files, Policy(denied_licenses=(entry,))).passed


@pytest.mark.parametrize("value", [4, 4.5, True, False, 0, [1, 2], {"a": 1}], ids=repr)
def test_a_value_of_another_type_is_told(tmp_path: Path, value: Any) -> None:
    result = _scan(tmp_path, _model({"config.json": _json(license=value)}), Policy())
    assert _codes(result) == ["sbom/license-unknown"]
    assert result.sbom.license
    assert not _scan(tmp_path, {}, ALLOWING).passed


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
    assert _scan(tmp_path, files, DENYING).verdict.status == "failed"


HONEST: dict[str, dict[str, bytes]] = {
    "card": {"README.md": _card("license: mit")},
    "card and configuration": {
        "README.md": _card("license: MIT"),
        "config.json": _json(license="mit"),
    },
    "card and licence file": {"README.md": _card("license: mit"), "LICENSE": b"MIT License\n"},
    "name and link": {
        "README.md": _card(
            "license: mit\nlicense_name: MIT\nlicense_link: https://opensource.org/licenses/MIT"
        )
    },
    "object": {"config.json": _json(license={"name": "MIT", "approved": True})},
    "no value": {"README.md": _card("license: mit"), "config.json": _json(license=None)},
    "choice": {"README.md": _card(f"license: mit OR {NC}")},
    "licence of a data set": {
        "README.md": _card(f"license: mit\ndataset_license: {NC}\ntags: [text]")
    },
    "other words": {"README.md": _card("license: mit\nlanguage: no\nlicensor: Acme")},
}


@pytest.mark.parametrize("files", HONEST.values(), ids=HONEST)
def test_an_honest_licence_passes_without_an_alarm(tmp_path: Path, files: dict[str, bytes]) -> None:
    for policy in (DENYING, ALLOWING):
        result = _scan(tmp_path, _model(files), policy)
        assert result.passed, result.verdict
        assert _codes(result) == []


# ---------------------------------------------------------------- templates

HOLDERS = (
    *("tokenizer_config.json", "chat_template.json", "processor_config.json"),
    *("special_tokens_map.json", "config.json"),
)
SHAPES: dict[str, Any] = {
    "number": 7,
    "nought": 0,
    "fraction": 1.5,
    "true": True,
    "false": False,
    "texts": [SOUND],
    "numbers": [1],
    "lists": [[{"name": "default", "template": SOUND}]],
    "object of objects": {"default": {"template": SOUND}},
    "object of a number": {"default": SOUND, "tool_use": 7},
    "object of nothing": {"default": None},
    "no name": [{"template": SOUND}],
    "name that is a number": [{"name": 1, "template": SOUND}],
    "template that is a list": [{"name": "default", "template": [SOUND]}],
    "template that is nothing": [{"name": "default", "template": None}],
    "name twice": [{"name": "a", "template": SOUND}, {"name": "a", "template": SOUND}],
}
POLICIES = (Policy(), Policy(allowed_templates=(SHA256,)))


@pytest.mark.parametrize("value", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", HOLDERS)
def test_a_template_of_an_unknown_shape_is_an_error(tmp_path: Path, name: str, value: Any) -> None:
    files = _model({name: _json(chat_template=value)})
    for policy in POLICIES:
        result = _scan(tmp_path, files, policy)
        assert result.verdict.status == "failed"
        assert "template/unknown-shape" in _codes(result)


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("texts", [(ESCAPE, SOUND), (SOUND, ESCAPE)], ids=["first", "last"])
def test_both_of_two_templates_under_one_key_are_judged(
    tmp_path: Path, name: str, texts: tuple[str, str]
) -> None:
    both = ", ".join(f'"chat_template": {json.dumps(text)}' for text in texts)
    for policy in POLICIES:
        result = _scan(tmp_path, _model({name: f"{{{both}}}".encode()}), policy)
        assert result.verdict.status == "failed"
        assert {"template/escape", "template/unknown-shape"} <= set(_codes(result))


GGUF_SHAPES: dict[str, tuple[int, Any]] = {
    "number": (4, 7),
    "truth": (7, True),
    "fraction": (6, 1.5),
    "texts": (ARRAY, (STRING, [SOUND])),
    "numbers": (ARRAY, (4, [1, 2])),
    "nothing": (ARRAY, (STRING, [])),
}


@pytest.mark.parametrize(("kind", "value"), GGUF_SHAPES.values(), ids=GGUF_SHAPES)
@pytest.mark.parametrize("key", ["tokenizer.chat_template", "tokenizer.chat_template.tool_use"])
def test_a_template_of_a_header_is_a_text(tmp_path: Path, key: str, kind: int, value: Any) -> None:
    files = {"m.gguf": gguf((HEADER_KEY, (key, kind, value))).data}
    for policy in POLICIES:
        result = _scan(tmp_path, files, policy)
        assert result.verdict.status == "failed"
        assert "template/unknown-shape" in _codes(result)


KNOWN_SHAPES: dict[str, Any] = {
    "text": SOUND,
    "object": {"default": SOUND},
    "list": [{"name": "default", "template": SOUND}],
    "two in a list": [{"name": "default", "template": SOUND}, {"name": "rag", "template": SOUND}],
    "nothing": None,
    "empty list": [],
    "empty object": {},
}


@pytest.mark.parametrize("value", KNOWN_SHAPES.values(), ids=KNOWN_SHAPES)
@pytest.mark.parametrize("name", HOLDERS)
def test_a_template_of_a_known_shape_passes(tmp_path: Path, name: str, value: Any) -> None:
    for policy in POLICIES:
        result = _scan(tmp_path, _model({name: _json(chat_template=value)}), policy)
        assert result.passed, result.verdict
        assert _codes(result) == []


def test_an_allowed_template_of_a_header_passes(tmp_path: Path) -> None:
    files = {"m.gguf": gguf((HEADER_KEY, ("tokenizer.chat_template", STRING, SOUND))).data}
    for policy in POLICIES:
        assert _scan(tmp_path, files, policy).passed
