"""Where a model comes from: addresses, links, redirects, publishers that are not what they say."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from prefect_mutagen.scanner import ArtifactRejected, Policy, scan, verify
from prefect_mutagen.scanner.policy.fields import Waiver
from prefect_mutagen.scanner.policy.judge import judge
from prefect_mutagen.scanner.verdicts import Subject
from tests.builders import STRING, gguf
from tests.scanner.storing import put_local
from tests.servers import HOST, WebServer

GGUF = gguf().data
CARD = b"---\nlicense: llama3\n---\n"
CLAIMING = gguf((("general.organization", STRING, "acme"),)).data
SUBJECT = Subject((), 1, "gguf", None, 1, None, None, "", url="")
ACME = Policy(allowed_publishers=("acme",))
HUB = "https://huggingface.co"


# ---------------------------------------------------------------- what lies beside an address

QUERIES = ["download=true", "x=1", "sig=hunter2", "versionId=1", "", "a=b&c=d", "token=x"]
BESIDE = {
    "licence": ("README.md", CARD, "policy/license"),
    "template": ("chat_template.jinja", b"{{ ''.__class__ }}", "template/escape"),
    "settings": (
        "tokenizer_config.json",
        b'{"chat_template": "{{ \'\'.__class__ }}"}',
        "template/escape",
    ),
}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(("name", "data", "code"), BESIDE.values(), ids=BESIDE)
def test_a_query_switches_no_look_off(
    query: str, name: str, data: bytes, code: str, tmp_path: Path
) -> None:
    put_local(tmp_path, {"m/m.gguf": GGUF, f"m/{name}": data})
    with WebServer(tmp_path) as site:
        with pytest.raises(ArtifactRejected) as refused:
            verify(f"{site.url}/m/m.gguf?{query}", policy=Policy(denied_licenses=("llama3",)))
        assert code in {reason.code for reason in refused.value.reasons}
        assert "hunter2" not in str(refused.value)
        asked = [path for _, path, _ in site.requests if path.startswith(f"/m/{name}")]
        assert asked == [f"/m/{name}?{query}" if query else f"/m/{name}"] * len(asked)


def test_a_user_switches_no_look_off(tmp_path: Path) -> None:
    put_local(tmp_path, {"m/m.gguf": GGUF, "m/README.md": CARD})
    with WebServer(tmp_path) as site:
        url = site.url.replace("://", "://u:hunter2@") + "/m/m.gguf"
        with pytest.raises(ArtifactRejected, match="forbidden") as refused:
            verify(url, policy=Policy(denied_licenses=("llama3",)))
        assert "hunter2" not in str(refused.value)


RULES = {
    "denied licences": Policy(denied_licenses=("llama3",)),
    "allowed licences": Policy(allowed_licenses=("mit",)),
    "licence": Policy(require_license=True),
    "templates": Policy(allowed_templates=("a" * 64,)),
    "signature": Policy(require_signature=True),
    "code": Policy(remote_code="refuse"),
}


@pytest.mark.parametrize("policy", RULES.values(), ids=RULES)
@pytest.mark.parametrize("status", [401, 403])
def test_rules_about_what_nobody_could_look_at_are_not_known_to_hold(
    policy: Policy, status: int, signed_address: "Signed"
) -> None:
    signed_address.status = status
    with pytest.raises(ArtifactRejected) as refused:
        verify(signed_address.url, policy=policy)
    assert refused.value.result is not None
    assert refused.value.result.verdict.status == "unknown"
    codes = {reason.code for reason in refused.value.reasons}
    assert "policy/folder-unexamined" in codes


def test_without_such_a_rule_the_verdict_says_so(signed_address: "Signed") -> None:
    result = verify(signed_address.url)
    assert [finding.code for finding in result.findings] == ["sbom/folder-unseen"]


class Signed:
    """A server that grants access to one file, as by a signed address."""

    def __init__(self) -> None:
        self.status = 403
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/m/m.gguf?"):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(GGUF)))
                    self.send_header("ETag", '"x"')
                    self.end_headers()
                    self.wfile.write(GGUF)
                else:
                    self.send_response(outer.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}/m/m.gguf?X-Amz-Signature=hunter2"


@pytest.fixture
def signed_address() -> Iterator[Signed]:
    signed = Signed()
    thread = threading.Thread(target=signed.server.serve_forever, daemon=True)
    thread.start()
    yield signed
    signed.server.shutdown()
    signed.server.server_close()
    thread.join()


# ---------------------------------------------------------------- publishers

IMPOSTORS = {
    "folder of a bucket": "s3://ours/models--acme--x/snapshots/1/m.gguf",
    "folder of a disk": "/srv/models--acme--x/snapshots/1/m.gguf",
    "folder of a server": "https://evil.example/models--acme--x/snapshots/1/m.gguf",
    "unencrypted": "http://huggingface.co/acme/x/resolve/main/m.gguf",
    "another port": "https://huggingface.co:8443/acme/x/resolve/main/m.gguf",
    "a longer host": "https://huggingface.co.evil.example/acme/x/m.gguf",
    "a user": "https://huggingface.co@evil.example/acme/x/m.gguf",
    "the folder above": "https://huggingface.co/acme/../evil/x/m.gguf",
    "the folder above, encoded": "https://huggingface.co/acme/%2e%2e/evil/x/m.gguf",
    "the folder above, twice encoded": "https://huggingface.co/acme/%252e%252e/evil/x/m.gguf",
    "a folder above the cache": "/hub/cache/../models--acme--x/snapshots/1/m.gguf",
    "below another folder of the cache": "/hub/cache/x/models--acme--x/snapshots/1/m.gguf",
    "a long s": "https://huggingface.co/acme\u017f/x/m.gguf",
    "a Cyrillic letter": "https://huggingface.co/\u0430cme/x/m.gguf",
    "a sharp s": "hf://acme\u00df/x/m.gguf",
}


@pytest.mark.parametrize("url", IMPOSTORS.values(), ids=IMPOSTORS)
def test_impostors_are_no_publishers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/hub/cache")
    policy = Policy(allowed_publishers=("acme", "acmes", "acmess"))
    (reason,) = judge(replace(SUBJECT, url=url), policy).reasons
    assert reason.code == "policy/publisher"


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        (f"{HUB}/acme/x/resolve/main/m.gguf", {}),
        (f"{HUB}:443/acme/x/resolve/main/m.gguf", {}),
        ("hf://acme/x/m.gguf", {}),
        ("hf://datasets/acme/x/m.gguf", {}),
        ("/hub/cache/models--acme--x/snapshots/1/m.gguf", {"HF_HUB_CACHE": "/hub/cache"}),
        ("/home/hub/models--acme--x/snapshots/1/m.gguf", {"HF_HOME": "/home"}),
        ("https://mirror.example/acme/x/m.gguf", {"HF_ENDPOINT": "https://mirror.example"}),
    ],
)
def test_publishers_are_proven(
    url: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert judge(replace(SUBJECT, url=url), ACME).status == "passed"


def test_a_link_in_the_cache_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    put_local(tmp_path, {"models--evil--x/snapshots/1/m.gguf": GGUF})
    (tmp_path / "models--acme--x").symlink_to(tmp_path / "models--evil--x")
    with pytest.raises(ArtifactRejected, match="only claimed"):
        verify(str(tmp_path / "models--acme--x/snapshots/1/m.gguf"), policy=ACME)


def test_a_claim_is_named_so(tmp_path: Path) -> None:
    (result,) = scan(put_local(tmp_path, {"m.gguf": CLAIMING}), policy=ACME)
    (reason,) = result.verdict.reasons
    assert "is only claimed, by general.organization" in reason.message


# ---------------------------------------------------------------- allowed addresses

OUTSIDE = {
    "another folder": "https://h/prod/m.gguf",
    "the folder above": "https://h/research/../prod/m.gguf",
    "encoded": "https://h/research/%2e%2e/prod/m.gguf",
    "twice encoded": "https://h/research/%252e%252e/prod/m.gguf",
    "three times": "https://h/research/%25252e%25252e/prod/m.gguf",
    "too often": "https://h/research/%2525252525252e%2525252525252e/prod/m.gguf",
    "a backslash": "https://h/research/..\\prod/m.gguf",
    "an encoded backslash": "https://h/research/..%5cprod/m.gguf",
    "parameters": "https://h/research/..;/prod/m.gguf",
    "parameters with a name": "https://h/research/..;a=b/prod/m.gguf",
    "half encoded": "https://h/research/.%2e/prod/m.gguf",
    "a NUL": "https://h/research/..%00/prod/m.gguf",
    "a tab": "https://h/research/.%09./prod/m.gguf",
    "full width": "https://h/research/\uff0e\uff0e/prod/m.gguf",
    "overlong UTF-8": "https://h/research/%c0%ae%c0%ae/prod/m.gguf",
    "an encoded slash": "https://h/research/..%2fprod/m.gguf",
    "a longer name": "https://h/research-x/m.gguf",
    "another host": "https://h.evil.example/research/m.gguf",
    "another port": "https://h:81/research/m.gguf",
    "no encryption": "http://h/research/m.gguf",
}


@pytest.mark.parametrize("url", OUTSIDE.values(), ids=OUTSIDE)
def test_what_lies_elsewhere_is_refused(url: str) -> None:
    policy = Policy(allowed_sources=("https://h/research",))
    (reason,) = judge(replace(SUBJECT, url=url), policy).reasons
    assert reason.code == "policy/source"


@pytest.mark.parametrize("url", ["https://h/research/m.gguf", "https://H:443/research/a/m.gguf"])
def test_what_lies_there_passes(url: str) -> None:
    policy = Policy(allowed_sources=("https://h/research/",))
    assert judge(replace(SUBJECT, url=url), policy).status == "passed"


@pytest.mark.parametrize("url", OUTSIDE.values(), ids=OUTSIDE)
def test_a_waiver_covers_nothing_elsewhere(url: str) -> None:
    waiver = Waiver(
        url="https://h/research/*",
        code="policy/license-missing",
        reason="tests",
        owner="tests",
        expires="2027-01-01",
    )
    policy = Policy(require_license=True, waivers=(waiver,))
    assert judge(replace(SUBJECT, url=url), policy).status == "failed"
    near = replace(SUBJECT, url="https://h/research/m.gguf")
    assert judge(near, policy).status == "passed"
    other = replace(waiver, url="HTTPS://H:443/research/*")
    assert judge(near, replace(policy, waivers=(other,))).status == "passed"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    put_local(
        tmp_path / "outside", {"m.gguf": GGUF, "README.md": CARD, "t/chat_template.jinja": b""}
    )
    (tmp_path / "inside").mkdir()
    return tmp_path / "outside"


LINKS = {
    "a file": ("m.gguf", "m.gguf", "m.gguf"),
    "a folder": ("m", "", "m/m.gguf"),
    "the scanned folder": ("m", "", "m"),
}


@pytest.mark.parametrize(("link", "target", "address"), LINKS.values(), ids=LINKS)
def test_a_link_that_leads_out_is_refused(
    link: str, target: str, address: str, outside: Path
) -> None:
    inside = outside.parent / "inside"
    (inside / link).symlink_to(outside / target)
    policy = Policy(allowed_sources=(str(inside),))
    for url in (str(inside / address), str(inside)):
        with pytest.raises(ArtifactRejected, match="were read from") as refused:
            verify(url, policy=policy)
        assert str(outside) in str(refused.value)
        verify(url, policy=Policy(allowed_sources=(str(inside), str(outside))))


def test_a_card_behind_a_link_counts_where_it_lies(outside: Path) -> None:
    inside = outside.parent / "inside"
    put_local(inside, {"m.gguf": GGUF})
    (inside / "README.md").symlink_to(outside / "README.md")
    with pytest.raises(ArtifactRejected, match="were read from"):
        verify(str(inside / "m.gguf"), policy=Policy(allowed_sources=(str(inside),)))


def test_links_of_the_allowed_folder_itself_and_of_a_cache_are_no_alarm(tmp_path: Path) -> None:
    put_local(tmp_path / "disk/models--a--b/blobs", {"b1": GGUF})
    (tmp_path / "disk/models--a--b/snapshots/1").mkdir(parents=True)
    (tmp_path / "disk/models--a--b/snapshots/1/m.gguf").symlink_to("../../blobs/b1")
    (tmp_path / "hub").symlink_to(tmp_path / "disk")
    policy = Policy(allowed_sources=(str(tmp_path / "hub"),))
    result = verify(str(tmp_path / "hub/models--a--b/snapshots/1"), policy=policy)
    assert result.passed


def test_a_redirect_to_another_host_is_refused(tmp_path: Path) -> None:
    put_local(tmp_path, {"m/m.gguf": GGUF})
    with WebServer(tmp_path) as site, WebServer(tmp_path) as other:
        site.redirects["/m/m.gguf"] = f"{other.url}/m/m.gguf?sig=hunter2"
        url = f"{site.url}/m/m.gguf"
        with pytest.raises(ArtifactRejected, match="were read from") as refused:
            verify(url, policy=Policy(allowed_sources=(site.url,)))
        assert f"{other.url}/m/" in str(refused.value)
        assert "hunter2" not in str(refused.value)
        assert verify(url, policy=Policy(allowed_sources=(site.url, other.url))).passed


# ---------------------------------------------------------------- what a folder holds

HIDDEN = {
    "behind a link": "link/m.gguf",
    "in git's folder": ".git/m.gguf",
    "in git's store": ".git/lfs/objects/m.gguf",
    "in the cache's folder of what is absent": ".no_exist/m.gguf",
    "in a Mac's archive": "__MACOSX/m.gguf",
    "in the folder of locks": ".locks/m.gguf",
    "in a hidden folder": ".hidden/m.gguf",
}


@pytest.mark.parametrize("place", HIDDEN.values(), ids=HIDDEN)
def test_a_folder_passes_with_all_that_it_holds(place: str, tmp_path: Path) -> None:
    put_local(tmp_path / "m", {"m.gguf": GGUF})
    if place.startswith("link/"):
        put_local(tmp_path / "elsewhere", {"m.gguf": GGUF[:90]})
        (tmp_path / "m/link").symlink_to(tmp_path / "elsewhere")
    else:
        put_local(tmp_path / "m", {place: GGUF[:90]})
    with pytest.raises(ArtifactRejected) as refused:
        verify(str(tmp_path / "m"))
    assert any(one.endswith(place) for one in refused.value.places)


def test_marks_of_tools_and_links_within_the_folder_are_no_alarm(tmp_path: Path) -> None:
    put_local(
        tmp_path / "m",
        {
            "a/m.gguf": GGUF,
            ".no_exist/1/model.safetensors.index.json": b"",
            ".no_exist/1/m.gguf": b"",
            "__MACOSX/a/._m.gguf": b"\x00\x05\x16\x07" + bytes(100),
            ".git/HEAD": b"ref: x",
        },
    )
    (tmp_path / "m/latest").symlink_to(tmp_path / "m/a")
    assert verify(str(tmp_path / "m")).passed


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    put_local(tmp_path, {"m/m.gguf": GGUF, "other/x.gguf": GGUF})
    (tmp_path / "m/other").symlink_to(tmp_path / "other")
    (tmp_path / "other/back").symlink_to(tmp_path / "m")
    (tmp_path / "other/self").symlink_to(tmp_path / "other")
    (tmp_path / "m/self").symlink_to(".")
    urls = {result.url for result in scan(str(tmp_path / "m"))}
    assert urls == {str(tmp_path / "m/m.gguf"), str(tmp_path / "m/other/x.gguf")}


def test_a_link_to_a_folder_above_is_named(tmp_path: Path) -> None:
    put_local(tmp_path, {"m/m.gguf": GGUF})
    (tmp_path / "m/up").symlink_to(tmp_path)
    with pytest.raises(ArtifactRejected, match="a link to a folder above"):
        verify(str(tmp_path / "m"))


# ---------------------------------------------------------------- a page that lists a folder

UNASKED = {
    "template": ("additional_chat_templates/x.jinja", b"{{ ''.__class__ }}", "template/escape"),
    "pickle": ("x.pkl", b"\x80\x02}.", "set/pickle-beside"),
    "pickled weights": ("pytorch_model.bin", b"\x80\x02}.", "set/pickle-beside"),
    "licence": ("LICENSE.txt", b"x", "sbom/license-unknown"),
    "checksum": ("SHA256SUMS", b"0" * 64 + b"  m.gguf\n", ""),
    "tokenizer, which is not read": ("tokenizer.json", b"{}", ""),
    "code, which nothing names": ("x.py", b"x = 1\n", "code/unreached"),
}


@pytest.mark.parametrize(("name", "data", "code"), UNASKED.values(), ids=UNASKED)
@pytest.mark.parametrize("query", ["", "?download=true"])
def test_a_file_and_its_folder_are_judged_alike(
    query: str, name: str, data: bytes, code: str, tmp_path: Path
) -> None:
    put_local(tmp_path, {"m/m.gguf": GGUF, "m/README.md": CARD, f"m/{name}": data})
    with WebServer(tmp_path) as site:
        (of_root,) = scan(f"{site.url}/m/")
        (of_file,) = scan(f"{site.url}/m/m.gguf{query}")
        assert {one.code for one in of_file.findings} == {one.code for one in of_root.findings}
        assert of_file.verdict.status == of_root.verdict.status
        assert code in {one.code for one in of_file.findings} or not code
        assert of_file.pin.startswith("sha256:")
        if of_file.passed:
            assert verify(f"{site.url}/m/m.gguf{query}", of_file.pin).pin == of_file.pin
