"""Convert addresses to URIs and package URLs (purls).

A package URL is returned only where it is unambiguous: for a file of a hub repository at a known
commit, or for a file whose SHA-256 or address is known. No purl types are invented.

Sources: RFC 3986; the package URL specification (ECMA-427) with its types ``generic`` and
``huggingface`` (owner and name are case-sensitive, the commit is lower case).
"""

import re
from typing import Final
from urllib.parse import quote

from prefect_mutagen.scanner.storage.names import original_address, storable_name

__all__ = ["as_uri", "base_purl", "file_name", "file_purl", "is_remote"]

_ESCAPED: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_COMMIT: Final = "([0-9a-fA-F]{40})"
_HUB_FILES: Final = (
    re.compile(
        rf"https://huggingface\.co/([\w.-]+)/([\w.-]+)/(?:resolve|blob)/{_COMMIT}/(.+)", re.ASCII
    ),
    re.compile(rf"hf://([\w.-]+)/([\w.-]+)@{_COMMIT}/(.+)", re.ASCII),
    re.compile(rf".*/models--([\w.-]+?)--([\w.-]+)/snapshots/{_COMMIT}/(.+)", re.ASCII | re.DOTALL),
)
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def is_remote(url: str) -> bool:
    """Whether this is an address rather than a local path or its URI."""
    return "://" in url and not url.startswith("file://")


def as_uri(url: str) -> str:
    """Return an address as an ASCII URI, percent-encoded where needed.

    Args:
        url: An absolute path or an address. HTTP URLs are taken as already encoded; in all other
            addresses the key is literal, including ``%`` and ``?``.

    Returns:
        The URI; for a path, with the scheme ``file``.
    """
    if url.startswith(("http://", "https://")):
        return quote(_ESCAPED.sub("%25", url), safe="%/:?#[]@!$&'()*+,;=~")
    if url.startswith("file://"):
        return url
    if is_remote(url):
        scheme, _, rest = url.partition("://")
        return f"{quote(scheme)}://{quote(_octets(rest), safe='/:@~')}"
    path = quote(_octets(url), safe="/~")
    return f"file://{path}" if path.startswith("/") else path


def file_name(url: str) -> str:
    """Return the shown name of a file, by its shown address."""
    return storable_name(original_address(url).rpartition("/")[2])


def file_purl(url: str, name: str, sha256: str) -> str:
    """Return the package URL of a model file.

    Args:
        url: The file's address.
        name: The file's name.
        sha256: Its digest in hexadecimal; empty if unknown.

    Returns:
        The package URL; empty when nothing identifies exactly this file.
    """
    for pattern in _HUB_FILES:
        match = pattern.fullmatch(url)
        if match is not None:
            owner, repository, commit, path = match.groups()
            inside = "/".join(
                _encoded(part) for part in path.split("/") if part not in ("", ".", "..")
            )
            return f"pkg:huggingface/{owner}/{repository}@{commit.lower()}#{inside}"
    qualifiers = []
    if sha256:
        qualifiers.append(f"checksum=sha256:{sha256}")
    if is_remote(url):
        qualifiers.append(f"download_url={_encoded(as_uri(url))}")
    return f"pkg:generic/{_encoded(name)}?{'&'.join(qualifiers)}" if name and qualifiers else ""


def base_purl(base_model: str) -> str:
    """Return the package URL of a model named ``owner/name``; empty for any other name."""
    return f"pkg:huggingface/{base_model}" if _HUB_NAME.fullmatch(base_model) else ""


def _encoded(text: str) -> str:
    return quote(_octets(text), safe=":~")


def _octets(text: str) -> bytes:
    """Encode a name; undecodable bytes of a file name come back as they are on disk."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
