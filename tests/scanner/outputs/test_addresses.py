import pytest
from packageurl import PackageURL

from prefect_mutagen.scanner.outputs.addresses import as_uri, base_purl, file_purl
from tests.scanner.outputs.validating import SHA256

COMMIT = "0123456789ABCDEFabcd0123456789abcdef0123"
CHECKED = f"pkg:generic/a.gguf?checksum=sha256:{SHA256}"
ADDRESSED = "pkg:generic/a.gguf?download_url="


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("/m/a b.gguf", "file:///m/a%20b.gguf"),
        ("/m/100%41?#.gguf", "file:///m/100%2541%3F%23.gguf"),
        ("/m/caf\udce9.gguf", "file:///m/caf%E9.gguf"),
        ("/m/\ud800.gguf", "file:///m/%ED%A0%80.gguf"),
        ("a:b/c.gguf", "a%3Ab/c.gguf"),
        ("s3://bucket/a?b#c%20d/é.gguf", "s3://bucket/a%3Fb%23c%2520d/%C3%A9.gguf"),
        ("https://h.example/a%20b/ö%.gguf", "https://h.example/a%20b/%C3%B6%25.gguf"),
        ("memory:///x/a\nb.gguf", "memory:///x/a%0Ab.gguf"),
    ],
)
def test_addresses_as_uris(url: str, uri: str) -> None:
    assert as_uri(url) == uri


@pytest.mark.parametrize(
    ("url", "name", "sha256", "purl"),
    [
        ("/m/a.gguf", "a.gguf", "", ""),
        ("/m/a.gguf", "a.gguf", SHA256, CHECKED),
        (
            "s3://b/a&b=c.gguf",
            "a&b=c.gguf",
            "",
            "pkg:generic/a%26b%3Dc.gguf?download_url=s3:%2F%2Fb%2Fa%2526b%253Dc.gguf",
        ),
        (
            "https://h.example/a.gguf",
            "a.gguf",
            SHA256,
            f"{CHECKED}&download_url=https:%2F%2Fh.example%2Fa.gguf",
        ),
        (
            f"https://huggingface.co/Own/Na.me/resolve/{COMMIT}/sub/a b.gguf",
            "a b.gguf",
            SHA256,
            f"pkg:huggingface/Own/Na.me@{COMMIT.lower()}#sub/a%20b.gguf",
        ),
        (
            f"/c/models--Own--Na--me/snapshots/{COMMIT}/a.gguf",
            "a.gguf",
            "",
            f"pkg:huggingface/Own/Na--me@{COMMIT.lower()}#a.gguf",
        ),
        (
            "https://huggingface.co/Own/Name/resolve/main/a.gguf",
            "a.gguf",
            "",
            f"{ADDRESSED}https:%2F%2Fhuggingface.co%2FOwn%2FName%2Fresolve%2Fmain%2Fa.gguf",
        ),
        ("/m/\udce9.gguf", "\udce9.gguf", SHA256, f"pkg:generic/%E9.gguf?checksum=sha256:{SHA256}"),
    ],
)
def test_package_urls_of_files(url: str, name: str, sha256: str, purl: str) -> None:
    assert file_purl(url, name, sha256) == purl
    if purl and "\udce9" not in url:
        parsed = PackageURL.from_string(purl)
        assert isinstance(parsed.qualifiers, dict)
        if parsed.type == "generic":
            assert parsed.name == name
            assert parsed.namespace is None
            assert parsed.qualifiers.get("download_url", as_uri(url)) == as_uri(url)
        else:
            assert parsed.version == COMMIT.lower()
            assert parsed.subpath is not None
            assert url.endswith(parsed.subpath)


@pytest.mark.parametrize(
    ("name", "purl"),
    [
        ("meta-llama/Llama-3.1-8B", "pkg:huggingface/meta-llama/Llama-3.1-8B"),
        ("Meta Llama/Llama 3", ""),
        ("llama", ""),
        ("../x", ""),
        ("a/b/c", ""),
        ("a/b?checksum=x", ""),
        ("a/b\n", ""),
        ("https://h.example/x", ""),
    ],
)
def test_package_urls_of_base_models(name: str, purl: str) -> None:
    assert base_purl(name) == purl
