"""Shared parts of ``hf-readme`` and ``model-card``, the pages about exactly one model.

The pages are meant to be published, so they contain no local paths.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from prefect_mutagen.scanner.outputs.addresses import is_remote
from prefect_mutagen.scanner.outputs.markdown import LONGEST
from prefect_mutagen.scanner.outputs.stated import metadata_text
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import Sbom, ScanResult

__all__ = ["REPOSITORY", "front_matter", "only_result", "place", "public", "title"]

REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
"""Name of a hub repository, ``owner/name``."""

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{16,}")


class _Quoted(str):
    """A string to be dumped in double quotes, as l-bom does."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """A dumper that indents lists below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the library's own signature
        super().increase_indent(flow, indentless=False)


def _represent(dumper: yaml.SafeDumper, value: _Quoted) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style='"')


_Dumper.add_representer(_Quoted, _represent)


def only_result(results: Iterable[ScanResult], page_format: str) -> ScanResult:
    """Return the only result of a scan.

    Args:
        results: The results of the scan.
        page_format: Name of the format, for error messages.

    Raises:
        ValueError: There is not exactly one result.
    """
    found: ScanResult | None = None
    for result in results:
        if found is not None:
            problem = "there are several; name one of them"
            raise ValueError(f"{page_format} describes one model, and {problem}")
        found = result
    if found is None:
        raise ValueError(f"{page_format} describes one model, and there is none")
    return found


def front_matter(fields: Mapping[str, Any], *, quoted: bool = False) -> str:
    """Return the YAML block at the top of a page.

    Args:
        fields: Strings, numbers and lists of strings.
        quoted: Whether to put every string in double quotes.

    Returns:
        The block between its fences, with control characters escaped.
    """

    def fit(value: Any) -> Any:
        if isinstance(value, list):
            return [fit(item) for item in value]
        if isinstance(value, str):
            shown = visible(value, LONGEST)
            return _Quoted(shown) if quoted else shown
        return value

    block = yaml.dump(
        {key: fit(value) for key, value in fields.items()},
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=1 << 30,
    )
    return f"---\n{block}---\n"


def title(sbom: Sbom) -> str:
    """Return a model's name: that in its header unless it is a digest, else the file's stem."""
    name = metadata_text(sbom, "general.name")
    if name and not _DIGEST.fullmatch(name):
        return name
    return os.path.splitext(sbom.model_filename)[0]


def place(sbom: Sbom) -> str:
    """Return a model's address, or the file name of a local model."""
    return sbom.model_path if is_remote(sbom.model_path) else sbom.model_filename


def public(message: str, result: ScanResult) -> str:
    """Return a message without the folder of a local model."""
    for url in {result.url, *(item.url for item in result.objects)}:
        folder = url[: url.rfind("/") + 1]
        if not is_remote(url) and len(folder) > 1:
            message = message.replace(folder, "")
    return message
