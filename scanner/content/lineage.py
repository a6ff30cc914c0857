"""Collect every statement about the models that a model was made from.

Cards, configurations, adapters, GGUF headers and the metadata of safetensors files name base models
in their own ways: hub repositories, addresses, paths of a cache, file names. All of them are kept,
with their source; a policy asks for each.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

from prefect_mutagen.scanner.content.facts import plain_text
from prefect_mutagen.scanner.content.json_limits import json_memory, json_problem
from prefect_mutagen.scanner.content.safe_load import load_json

__all__ = [
    "BASE_KEYS",
    "file_lineage",
    "gguf_lineage",
    "merge_lineage",
    "metadata_lineage",
    "repository_of",
    "source_lineage",
    "unread_lineage",
]

BASE_KEYS: Final = (
    "base_model",
    "base_model_name_or_path",
    "base_model_name",
    "base_model_repo_id",
    "source_model",
)
"""Keys that name a base model."""
_MORE_KEYS: Final = frozenset(
    (
        *BASE_KEYS,
        *("_name_or_path", "name_or_path", "base_models", "parent_model", "finetuned_from"),
        *("pretrained_model_name_or_path", "teacher_model", "merged_from", "draft_model"),
    )
)
_RECIPES: Final = ("sd_merge_models", "sd_merge_recipe")
_MOST_NAMES: Final = 10_000
"""Most base models that are read of the metadata of a file."""
_TEXT_LIMIT: Final = 1000
_DEPTH_LIMIT: Final = 6

_PART: Final = r"[^\W_][\w.-]*"
_NAME: Final = rf"({_PART}/{_PART}?)(?:\.git)?(?=$|[/@:#?])"
_CACHED: Final = r"(?:^|[/\\])models--([^/\\]+?)--([^/\\]+)"


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    """Compile the forms of a repository's name: with a scheme, as an address, plain."""
    scheme = r"(?:hf|huggingface|hub|modelscope|ms|ollama)(?:://|:)(?:models/)?"
    host = r"(?:[a-z][a-z0-9+]*:)?(?://)?(?:[^/@\s]*@)?(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?[/:]+"
    return (
        re.compile(f"{scheme}{_NAME}", re.IGNORECASE),
        re.compile(rf"{host}(?:models/|v2/)?{_NAME}", re.IGNORECASE),
        re.compile(rf"({_PART}/{_PART}?)(?:\.git)?/?(?:[@:#?].*)?\Z", re.DOTALL),
    )


def repository_of(name: str) -> str:
    """Return the repository that a name, an address or a path in a cache means, as ``owner/name``.

    Returns:
        The repository without revision and tag; empty for anything else, such as a local path.
    """
    text = unquote(name.strip())
    cached = re.search(_CACHED, text)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    if "/" not in text:
        return ""
    for form in _forms():
        found = form.match(text)
        if found:
            return found[1].removesuffix(".git")
    return ""


def gguf_lineage(values: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the numbered entries of a GGUF header for base models or data sets.

    The keys count, whatever number of entries the header declares.
    """
    pattern = re.compile(
        rf"{re.escape(prefix)}\.(\d{{1,9}})\.(name|organization|version|repo_url|url|doi|license)"
    )
    entries: dict[int, dict[str, Any]] = {}
    for key, value in values.items():
        found = pattern.fullmatch(key)
        text = _short(value) if found else None
        if found and text:
            entries.setdefault(int(found[1]), {})[found[2]] = text
    return [entries[number] for number in sorted(entries)]


def source_lineage(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the model that a GGUF file was converted from."""
    for key in ("repo_url", "url", "huggingface.repository"):
        text = _short(values.get(f"general.source.{key}"))
        if text:
            return [{"name": repository_of(text) or text, "source": f"gguf:general.source.{key}"}]
    return []


def metadata_lineage(metadata: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the metadata of a safetensors file says: trainers, mergers, ModelSpec."""
    found: list[dict[str, Any]] = []
    for key, value in metadata.items():
        last = key.rpartition(".")[2].lower()
        if last == "merged_from":
            parts = value.split(",", _MOST_NAMES + 1)
            names = [_file_name(part) for part in parts]
        elif last in _MORE_KEYS or key in ("ss_base_model_version", "ss_sd_model_name"):
            names = [_file_name(value)]
        elif key in _RECIPES:
            names = list(_merged(value))
        else:
            continue
        source = f"safetensors:__metadata__.{key}"
        found += [{"name": name, "source": source} for name in names if name]
        if len(found) > _MOST_NAMES:
            break
    return found[: _MOST_NAMES + 1]


def unread_lineage(metadata: Mapping[str, str], found: Sequence[Any]) -> str:
    """Return a clause if the metadata names more base models than were read; empty if not.

    Args:
        metadata: Of a safetensors file.
        found: What `metadata_lineage` returned for it.
    """
    if len(found) > _MOST_NAMES:
        return f"the metadata names more than {_MOST_NAMES:,} base models"
    for key in _RECIPES:
        raw = metadata.get(key, "").encode("utf-8", "replace")
        if problem := json_problem(raw, json_memory(raw)):
            return f"{key} is not read: {problem}"
    return ""


def _merged(text: str) -> Iterator[str]:
    """Yield the names of merged checkpoints, as the web interface of Stable Diffusion has them."""
    recipe = load_json(text.encode("utf-8", "replace")).values
    for key, value in recipe.items():
        if isinstance(value, dict):
            yield _file_name(plain_text(value.get("name")) or "")
        elif key.endswith("_model_name"):
            yield _file_name(plain_text(value) or "")


def _file_name(text: str) -> str:
    """Return a name without the folders of somebody's machine."""
    text = (plain_text(text) or "")[:_TEXT_LIMIT]
    return repository_of(text) or re.split(r"[/\\]", text)[-1].strip()


def file_lineage(
    name: str, values: Mapping[str, Any], *, is_card: bool = False
) -> list[dict[str, Any]]:
    """Return what a card or a configuration says, nested parts included.

    Args:
        name: Name of the file, for the source.
        values: Its content.
        is_card: Whether any text counts; in a configuration, other texts may be somebody's paths.
    """
    found: list[dict[str, Any]] = []
    for key, value in _statements(values):
        for text in _texts(value):
            repository = repository_of(text)
            if repository or is_card:
                entry = {"name": repository or text[:_TEXT_LIMIT], "source": f"{name}:{key}"}
                found.append(entry)
    if is_card:
        for tag in _texts(values.get("tags")):
            if tag.lower().startswith("base_model:"):
                repository = repository_of(tag.rpartition(":")[2])
                found += [{"name": repository, "source": f"{name}:tags"}] if repository else []
    return found


def _statements(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members that name base models, at any depth."""
    pending: deque[tuple[str, Mapping[str, Any], int]] = deque([("", values, 0)])
    while pending:
        prefix, mapping, depth = pending.popleft()
        for key, value in mapping.items():
            if str(key).lower().replace("-", "_") in _MORE_KEYS:
                yield f"{prefix}{key}", value
            elif isinstance(value, Mapping) and depth < _DEPTH_LIMIT:
                pending.append((f"{prefix}{key}.", value, depth + 1))


def _texts(value: Any) -> Iterator[str]:
    pending = deque([value])
    while pending:
        one = pending.popleft()
        if isinstance(one, Mapping):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        else:
            text = plain_text(one)
            if text:
                yield text


def merge_lineage(lists: Iterable[Any]) -> list[dict[str, Any]]:
    """Merge the base models that several sources state, each once."""
    merged: dict[str, dict[str, Any]] = {}
    for entries in lists:
        for entry in entries or ():
            told = {key: value for key, value in entry.items() if key != "source"}
            merged.setdefault(repr(sorted(told.items())), entry)
    return list(merged.values())


def _short(value: Any) -> str | None:
    text = plain_text(value)
    return text[:_TEXT_LIMIT] if text else None
