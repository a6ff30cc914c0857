"""Where the files of a model state chat templates.

A JSON file states them under ``chat_template``: a text, an object of texts by name, or a list of
``{name, template}``; every file whose name ends in ``.jinja`` is one; a GGUF header states them
under ``tokenizer.chat_template`` and ``tokenizer.chat_template.NAME``. A place is the path of a
file, or its path, a colon and a key, as in a load plan, which says what a loader renders. What no
loader renders by itself is judged as well: an option of a loader may name it. A value of another
shape is an error: what a loader would make of it is not known.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.scanner.content.templates import GGUF_KEY, Template, make_template
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = [
    "find_differing_copies",
    "holds_templates",
    "is_template_file",
    "mark_rendered",
    "model_templates",
]

_JINJA_LIMIT: Final = 1 << 20

_KEY: Final = "chat_template"
_DEFAULT: Final = "default"
_MOST_VALUES: Final = 1024
_HOLDERS: Final = (
    "chat_template.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
)
_ADDITIONAL: Final = "additional_chat_templates"


def is_template_file(path: str) -> bool:
    """Whether a file of a model is a chat template by itself."""
    return path.lower().endswith((".jinja", ".jinja2"))


def holds_templates(path: str) -> bool:
    """Whether loaders take templates from a file of this path: one not read hides them."""
    return is_template_file(path) or path.rpartition("/")[2] in _HOLDERS


def model_templates(
    texts: Mapping[str, bytes], documents: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Template]]:
    """Yield the chat templates that the files of a model state, each with the path of its file.

    Args:
        texts: Contents, by path relative to the model's root, of the files for which
            `is_template_file` holds; one of a megabyte or more is not examined.
        documents: Values of the model's JSON files, by path.
    """
    for path, values in sorted(documents.items()):
        for template in _document_templates(path, values):
            yield path, template
    for path, raw in sorted(texts.items()):
        if is_template_file(path):
            yield path, _jinja_template(path, raw)


def _jinja_template(path: str, raw: bytes) -> Template:
    if len(raw) >= _JINJA_LIMIT:
        return Template(path, None, len(raw), "")
    # Loaders take it as UTF-8. A byte order mark of UTF-16 is no UTF-8, so nothing is lost here.
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return make_template(path, raw.decode(encoding, "replace"))


def _document_templates(path: str, values: Mapping[str, Any]) -> Iterator[Template]:
    """Yield the templates of a JSON file, to any depth."""
    place = f"{path}:{_KEY}"
    value = values.get(_KEY)
    if value is None:
        return
    if problem := _problem_of(value):
        yield Template(place, None, 0, "", problem)
    # Whatever its shape, the texts in it are judged.
    waiting = deque([(place, value)])
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        inner, value = waiting.popleft()
        if isinstance(value, str):
            yield make_template(inner, value)
        elif isinstance(value, list):
            for index, entry in enumerate(value[:_MOST_VALUES]):
                waiting.extend(_entry(inner, index, entry))
        elif isinstance(value, dict):
            waiting.extend((f"{inner}.{key}", text) for key, text in value.items())
    # The rest is not examined; a template without text says so.
    yield Template(place, None, 0, "")


def _problem_of(value: Any) -> str:
    """Return why a value is of no shape that loaders know, as a clause; empty if it is."""
    if isinstance(value, str):
        return ""
    if isinstance(value, dict):
        odd = [key for key, text in value.items() if not isinstance(text, str)]
        return f"has no text under {shown(odd[0])}" if odd else ""
    if not isinstance(value, list):
        return "is neither a text nor a list or an object of texts"
    for index, entry in enumerate(value):
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("name"), str)
            and isinstance(entry.get("template"), str)
        ):
            return f"has an entry {index} that is no object with the texts 'name' and 'template'"
    names = [entry["name"] for entry in value]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    return "" if twice is None else f"names {shown(twice)} twice"


def _entry(place: str, index: int, entry: Any) -> Iterator[tuple[str, Any]]:
    """Yield places and texts of an entry of a list: ``{name, template}``, or something else."""
    if not isinstance(entry, dict) or "template" not in entry:
        yield f"{place}.{index}", entry
        return
    name = entry.get("name")
    place = f"{place}.{name if isinstance(name, str) else index}"
    yield place, entry["template"]
    rest = {key: value for key, value in entry.items() if key not in ("name", "template")}
    if any(isinstance(value, (str, dict, list)) for value in rest.values()):
        yield place, rest


def mark_rendered(
    entries: Iterable[Mapping[str, Any]], plans: Mapping[str, Collection[str]]
) -> list[dict[str, Any]]:
    """Return facts about templates with the loaders that render each by themselves.

    Args:
        entries: Facts by `template_details`. Those of a registry's texts stay as they are: which of
            them is rendered depends on more than files.
        plans: The places of the templates that each loader renders, as its load plan names them;
            those of a GGUF file's keys begin with its path.
    """
    return [
        {**entry, "rendered_by": [name for name, places in plans.items() if _is_at(place, places)]}
        if _is_of_files(place := str(entry.get("place", "")))
        else dict(entry)
        for entry in entries
    ]


def _is_of_files(place: str) -> bool:
    if place.startswith(("template of ", "prompt of ")):
        return False
    path = place.partition(f".json:{_KEY}")
    return bool(path[1]) or is_template_file(place) or place.startswith(GGUF_KEY)


def _is_at(place: str, places: Collection[str]) -> bool:
    if place.startswith(GGUF_KEY):
        return any(one.endswith(f":{place}") for one in places)
    return place in places


def find_differing_copies(templates: Iterable[Template], url: str) -> Iterator[Finding]:
    """Yield a finding for each template of which a copy in another file of its folder differs.

    The template in a GGUF header is compared with those of all folders. White space at the end is
    no difference: editors and writers of JSON add and remove it.

    Args:
        templates: All templates of one artifact, from its header and from its model's files.
        url: Address of the artifact.
    """
    in_header: dict[str, Template] = {}
    in_files: dict[tuple[str, str], list[Template]] = {}
    for template in templates:
        folder, name = _folder_and_name(template.place)
        if folder is None:
            in_header.setdefault(name, template)
        elif name:
            in_files.setdefault((folder, name), []).append(template)
    for (_, name), copies in in_files.items():
        first = in_header.get(name, copies[0])
        for other in copies:
            if not _same(first, other):
                message = (
                    f"the chat templates in {named(first.place)} and {named(other.place)} differ"
                )
                yield make_finding("template/copies-differ", message, url=url, field=other.place)
                break


def _folder_and_name(place: str) -> tuple[str | None, str]:
    """Return the folder that a template belongs to, None for a header, and its name there.

    The name is empty for a file that is a template under a name of its own.
    """
    if place.startswith(GGUF_KEY):
        return None, place[len(GGUF_KEY) + 1 :] or _DEFAULT
    path, is_key, name = place.partition(f".json:{_KEY}")
    folder, _, file = path.rpartition("/")
    if is_key:
        return folder, name[1:] or _DEFAULT
    if file == f"{_KEY}.jinja":
        return folder, _DEFAULT
    above, _, last = folder.rpartition("/")
    return (above, file.rpartition(".")[0]) if last == _ADDITIONAL else (folder, "")


def _same(one: Template, other: Template) -> bool:
    if one.text is None or other.text is None:
        return one.sha256 == other.sha256 and one.length == other.length
    return _normal(one.text) == _normal(other.text)


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip()
