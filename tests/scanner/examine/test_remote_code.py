"""Reading a model's code: replies are made up, as storage would give them."""

import hashlib
import re
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from prefect_mutagen.scanner.content.code import CodeReference, code_references
from prefect_mutagen.scanner.examine.remote_code import MODULE_LIMIT, LoadedCode, load_code
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.storage.requests import Parts, Read
from prefect_mutagen.scanner.storage.store import UNKNOWN_SIZE, RangeReply, StoredObject

AUTO_MAP = {"config.json": {"auto_map": {"AutoModel": "modeling.Model"}}}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _drive(work: Generator[Any, Any, Any], files: Mapping[str, bytes], asked: list[str]) -> Any:
    try:
        request = next(work)
        while True:
            if isinstance(request, Parts):
                request = work.send([_drive(part, files, asked) for part in request.parts])
                continue
            assert isinstance(request, Read)
            path = request.item.url.removeprefix("s3://b/")
            asked.append(path)
            if request.item.pin == "denied":
                request = work.throw(StorageError("storage/denied", request.item.url, "denied"))
                continue
            data = files[path]
            reply = RangeReply(data[request.start : request.end], len(data), "etag:read")
            request = work.send(reply)
    except StopIteration as stop:
        return stop.value


def _load(
    files: Mapping[str, bytes],
    documents: Mapping[str, Mapping[str, Any]] = AUTO_MAP,
    *,
    asked: list[str] | None = None,
    **changed: StoredObject,
) -> LoadedCode:
    available = {
        path: StoredObject(f"s3://b/{path}", len(data), "etag:listed")
        for path, data in {**dict.fromkeys(documents, b"{}"), **files}.items()
    }
    available.update({name.replace("__", "."): item for name, item in changed.items()})
    references = code_references(documents, available.keys())
    requests: list[str] = [] if asked is None else asked
    loaded: LoadedCode = _drive(load_code(references, available), files, requests)
    return loaded


def _codes(loaded: LoadedCode) -> list[str]:
    return sorted(finding.code for finding in loaded.findings)


def test_nothing_is_read_without_code() -> None:
    asked: list[str] = []
    loaded = _load({"model.safetensors": b"x"}, {"config.json": {"model_type": "x"}}, asked=asked)
    assert (loaded, asked) == (LoadedCode(), [])
    assert loaded.facts() == {}


def test_modules_and_what_they_import_are_known_by_their_digests() -> None:
    files = {
        "modeling.py": b"from .layers import Layer\n",
        "layers.py": b"from .pkg.kernels import run\nfrom . import modeling\n",
        "pkg/__init__.py": b"",
        "pkg/kernels.py": b"from ..layers import Layer  # a circle\n",
        "convert.py": b"print('a script')\n",
    }
    asked: list[str] = []
    loaded = _load(files, asked=asked)
    reached = {module.path: module.reached_by for module in loaded.modules}
    assert reached == {
        "modeling.py": ("config.json:auto_map.AutoModel", "layers.py"),
        "layers.py": ("modeling.py", "pkg/kernels.py"),
        "pkg/__init__.py": ("layers.py",),
        "pkg/kernels.py": ("layers.py",),
    }
    for module in loaded.modules:
        assert module.sha256 == _sha256(files[module.path])
    # An empty file needs no request.
    assert sorted(asked) == ["layers.py", "modeling.py", "pkg/kernels.py"]
    assert _codes(loaded) == ["code/remote", "code/unreached"]
    remote = next(finding for finding in loaded.findings if finding.code == "code/remote")
    assert "modeling.py (config.json:auto_map.AutoModel)" in remote.message
    assert remote.url == "s3://b/modeling.py"
    assert loaded.facts()["code"][1] == {
        "path": "layers.py",
        "sha256": _sha256(files["layers.py"]),
        "reached_by": ["modeling.py", "pkg/kernels.py"],
    }
    assert {item.pin for item in loaded.objects} == {"etag:read", "etag:listed"}


@pytest.mark.parametrize(
    ("files", "codes", "message"),
    [
        ({}, ["code/missing"], "config.json:auto_map.AutoModel names 'modeling.Model', and there"),
        (
            {"modeling.py": b"from .gone import x\n"},
            ["code/missing", "code/remote"],
            "modeling.py imports .gone: not among",
        ),
        (
            {"modeling.py": b"from ..outside import x\n"},
            ["code/missing", "code/remote"],
            "modeling.py imports ..outside: not among",
        ),
        (
            {"modeling.py": b"from . import gone, lost\n"},
            ["code/missing", "code/remote"],
            "modeling.py imports . import gone, lost: not among",
        ),
        ({"modeling.py": b"import numpy, torch\n"}, ["code/remote"], "modeling.py"),
        (
            {"modeling.py": b"def f(:\nfrom .layers import x\n", "layers.py": b"\n"},
            ["code/remote", "code/unparsed"],
            "modeling.py were found by their text alone: it is not valid Python in line 1",
        ),
        (
            {"modeling.py": b"#" * (MODULE_LIMIT + 1)},
            ["code/remote", "code/unexamined"],
            f"modeling.py is code that was not examined: it has {MODULE_LIMIT + 1} bytes",
        ),
        (
            {"modeling.py": b"from .a import x\n" * 3_000, "a.py": b""},
            ["code/remote", "code/unexamined"],
            "not all imports of modeling.py were followed: it has too many imports",
        ),
    ],
    ids=range(8),
)
def test_what_is_wrong_is_a_finding(
    files: dict[str, bytes], codes: list[str], message: str
) -> None:
    loaded = _load(files)
    assert _codes(loaded) == codes
    assert re.search(message, " ".join(finding.message for finding in loaded.findings))


def test_a_missing_module_stays_in_the_facts_without_a_digest() -> None:
    facts = _load({}).facts()
    assert facts["code"] == [
        {
            "path": "modeling.py",
            "sha256": "",
            "reached_by": ["config.json:auto_map.AutoModel"],
            "problem": "it is not among the model's files",
        }
    ]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (StoredObject("s3://b/modeling.py", 5, "denied"), "it cannot be read: denied"),
        (
            StoredObject(
                "s3://b/modeling.py", 5, "", fault=StorageError("storage/archived", "x", "cold")
            ),
            "it cannot be read: cold",
        ),
        (StoredObject("s3://b/modeling.py", 9, "etag:1"), "instead of the listed 9"),
    ],
    ids=["denied", "fault", "changed"],
)
def test_what_cannot_be_read_is_unexamined(item: StoredObject, message: str) -> None:
    loaded = _load({"modeling.py": b"x = 1"}, modeling__py=item)
    assert _codes(loaded) == ["code/remote", "code/unexamined"]
    finding = next(one for one in loaded.findings if one.code == "code/unexamined")
    assert message in finding.message
    assert loaded.modules[0].sha256 == ""
    assert message in loaded.modules[0].problem


@pytest.mark.parametrize("length", [0, 5, MODULE_LIMIT, MODULE_LIMIT + 1])
def test_a_module_whose_size_storage_does_not_say(length: int) -> None:
    item = StoredObject("s3://b/modeling.py", UNKNOWN_SIZE, "")
    data = b"#" * length
    loaded = _load({"modeling.py": data}, modeling__py=item)
    fits = length <= MODULE_LIMIT
    assert (loaded.modules[0].sha256 == _sha256(data)) is fits
    assert ("code/unexamined" in _codes(loaded)) is not fits


def test_code_beyond_the_limits_is_told() -> None:
    count = 300
    files = {f"m{number}.py": b"x" for number in range(count)}
    files["modeling.py"] = b"".join(f"from .m{n} import x\n".encode() for n in range(count))
    loaded = _load(files)
    assert sum(bool(module.sha256) for module in loaded.modules) == 200
    assert len(loaded.modules) == count + 1
    assert all(module.sha256 or module.problem for module in loaded.modules)
    assert "code/unexamined" in _codes(loaded)
    many = {"config.json": {"auto_map": {f"A{n}": f"m{n}.C" for n in range(2_000)}}}
    assert "code/unexamined" in _codes(_load({}, many))


@pytest.mark.parametrize(
    ("documents", "code", "message"),
    [
        (
            {"config.json": {"auto_map": {"A": "me/other--m.C"}}},
            "code/other-repository",
            "config.json:auto_map.A has m of the repository 'me/other' run",
        ),
        (
            {"config.json": {"attn_implementation": "me/kernel@main"}},
            "code/hub-kernel",
            "config.json:attn_implementation has a kernel of the repository 'me/kernel' run",
        ),
        (
            {"adapter_config.json": {"megatron_core": "evil"}},
            "code/imported-name",
            "adapter_config.json:megatron_core has the module 'evil' imported",
        ),
        (
            {"config.json": {"auto_map": {"A": "/etc/evil.C"}}},
            "code/outside",
            "config.json:auto_map.A names code outside the model's folder: '/etc/evil.C'",
        ),
    ],
    ids=["repository", "kernel", "name", "outside"],
)
def test_code_elsewhere(documents: dict[str, Any], code: str, message: str) -> None:
    loaded = _load({}, documents)
    assert [(one.code, one.message) for one in loaded.findings] == [(code, message)]
    assert loaded.findings[0].url == f"s3://b/{next(iter(documents))}"
    (fact,) = loaded.facts()["code_elsewhere"]
    assert {"kind", "place", "text"} <= fact.keys()


def test_several_places_of_one_repository_are_one_finding() -> None:
    entries = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer"), "me/other--m.C")
    loaded = _load({}, {"config.json": {"auto_map": entries}})
    assert _codes(loaded) == ["code/other-repository"]
    assert len(loaded.elsewhere) == 3


def test_names_of_files_are_shown_harmless() -> None:
    name = "mo\x1b[31mdel\n"
    references = (CodeReference("own", "config.json:auto_map", f"{name}.C", f"{name}.py"),)
    available = {f"{name}.py": StoredObject("s3://b/x", 0, "e")}
    loaded = _drive(load_code(references, available), {}, [])
    assert all(finding.message.isprintable() for finding in loaded.findings)
