"""What ``hf-readme`` and ``model-card`` have in common: pages about exactly one model.

They are made to be published, so no path of this machine is in them.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from prefect_mutagen.scanner.outputs.markdown import LONGEST
from prefect_mutagen.scanner.outputs.stated import metadata_text
from prefect_mutagen.scanner.outputs.visible import visible
from prefect_mutagen.scanner.results import Sbom, ScanResult

__all__ = ["REPOSITORY", "front_matter", "only_result", "place", "public", "title"]

REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
"""A model on the hub, ``owner/name``."""

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{16,}")


class _Quoted(str):
    """A text that stands in double quotes, as l-bom writes them."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes lists a step further in than their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the library's own signature
        super().increase_indent(flow, indentless=False)


def _represent(dumper: yaml.SafeDumper, value: _Quoted) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style='"')


_Dumper.add_representer(_Quoted, _represent)


def only_result(results: Iterable[ScanResult], form: str) -> ScanResult:
    """Take the one model of a scan.

    Args:
        results: What the scan gives.
        form: Name of the format that describes one model only.

    Raises:
        ValueError: There is none, or a second one.
    """
    found: ScanResult | None = None
    for result in results:
        if found is not None:
            raise ValueError(f"{form} describes one model, and there are several; name one of them")
        found = result
    if found is None:
        raise ValueError(f"{form} describes one model, and there is none")
    return found


def front_matter(fields: Mapping[str, Any], *, quoted: bool = False) -> str:
    """Write the YAML block at the top of a page.

    Args:
        fields: Texts, numbers, and lists of texts.
        quoted: Whether every text stands in quotes.

    Returns:
        The block with its two fences and a line end; control characters are escaped in it.
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
    """Name a model: as its header does, unless that is a digest, else as its file."""
    name = metadata_text(sbom, "general.name")
    if name and not _DIGEST.fullmatch(name):
        return name
    return os.path.splitext(sbom.model_filename)[0]


def place(sbom: Sbom) -> str:
    """Say where a model lies: its address, or the name of a local file without its path."""
    return sbom.model_path if "://" in sbom.model_path else sbom.model_filename


def public(message: str, result: ScanResult) -> str:
    """Take the path of a local model's folder out of a sentence about it."""
    for url in {result.url, *(item.url for item in result.objects)}:
        folder = url[: url.rfind("/") + 1]
        if "://" not in url and len(folder) > 1:
            message = message.replace(folder, "")
    return message
