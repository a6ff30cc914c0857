"""Where the files of a model state chat templates, and which of them a loader renders.

Order of precedence, as of transformers 5.24.0:

* tokenizer (``tokenization_utils_base.from_pretrained``): ``chat_template.jinja`` with
  ``additional_chat_templates/*.jinja``, where one of them is there, replaces ``chat_template`` of
  ``tokenizer_config.json``;
* processor (``processing_utils.get_processor_dict``): ``chat_template`` in
  ``processor_config.json``, then ``chat_template.json``, then the ``.jinja`` files;
* llama.cpp (``common_chat_templates_init``): ``tokenizer.chat_template`` of the GGUF header, and
  ``tokenizer.chat_template.NAME``.

Templates in other places, such as another file that ends in ``.jinja``, are judged as well, because
an option of a loader may name them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import combinations
from typing import Any, Final

from prefect_mutagen.parsers.errors import named
from prefect_mutagen.scanner.content.templates import Template, make_template
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = [
    "CONFIGS",
    "JINJA_LIMIT",
    "document_templates",
    "find_differing_copies",
    "is_template_file",
    "jinja_template",
    "model_templates",
    "rendered_templates",
]

CONFIGS: Final = ("tokenizer_config.json", "chat_template.json", "processor_config.json")
"""JSON files that state chat templates under ``chat_template``."""
JINJA_LIMIT: Final = 1 << 20
"""Most bytes of a ``.jinja`` file that are kept."""

_KEY: Final = "chat_template"
_DEFAULT: Final = "default"
_MOST_NAMED: Final = 256
_GGUF_KEY: Final = "tokenizer.chat_template"
_ADDITIONAL: Final = "additional_chat_templates"


class _Source(IntEnum):
    """Kinds of places, the preferred first."""

    GGUF = 0
    PROCESSOR = 1
    LEGACY = 2
    JINJA = 3
    TOKENIZER = 4
    OTHER = 5


_LOADERS: Final[Mapping[str, Sequence[_Source]]] = {
    "llama.cpp": (_Source.GGUF,),
    "transformers tokenizer": (_Source.JINJA, _Source.TOKENIZER),
    "transformers processor": (_Source.PROCESSOR, _Source.LEGACY, _Source.JINJA),
}


def is_template_file(path: str) -> bool:
    """Whether a file of a model is a chat template by itself."""
    return path.lower().endswith(".jinja")


def model_templates(
    texts: Mapping[str, bytes], documents: Mapping[str, Mapping[str, Any]]
) -> Iterator[Template]:
    """Yield the chat templates that the files of a model state.

    Args:
        texts: Contents, by path relative to the model's root, of the files for which
            `is_template_file` holds; read up to `JINJA_LIMIT` bytes at least.
        documents: Values, by path, of the JSON files whose name is in `CONFIGS`. Others are passed
            over: no loader takes a template from them.
    """
    for path, values in sorted(documents.items()):
        if path.rpartition("/")[2] in CONFIGS:
            yield from document_templates(path, values)
    for path, raw in sorted(texts.items()):
        if is_template_file(path):
            yield jinja_template(path, raw)


def jinja_template(path: str, raw: bytes) -> Template:
    """Return the template that a ``.jinja`` file is."""
    if len(raw) >= JINJA_LIMIT:
        return Template(path, None, len(raw), "")
    # Loaders take it as UTF-8. A byte order mark of UTF-16 is no UTF-8, so nothing is lost here.
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return make_template(path, raw.decode(encoding, "replace"))


def document_templates(path: str, values: Mapping[str, Any]) -> Iterator[Template]:
    """Yield the templates of a JSON file: a text, named ones in a list or an object, or nested.

    Args:
        path: Path of the file, for the templates' places.
        values: Its values.
    """
    place = f"{path}:{_KEY}"
    waiting: list[tuple[str, Any]] = [(place, values.get(_KEY))]
    count = 0
    while waiting and count < _MOST_NAMED:
        place, value = waiting.pop(0)
        if isinstance(value, str):
            count += 1
            yield make_template(place, value)
        elif isinstance(value, list):
            waiting += [(_place_in(place, index, entry), entry) for index, entry in enumerate(value)]
        elif isinstance(value, dict):
            waiting += _entries(place, value)
    if waiting:
        # What is behind the limit is not examined, and a template without text says so.
        yield Template(f"{path}:{_KEY}", None, 0, "")


def _place_in(place: str, index: int, entry: Any) -> str:
    """Return the place of an entry of a list: by its name, where it has one."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"{place}.{name}" if isinstance(name, str) and name else f"{place}.{index}"


def _entries(place: str, value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the templates of an object: ``{name, template}``, or templates by name."""
    if "template" in value and ("name" in value or len(value) == 1):
        return [(place, value["template"])]
    return [(f"{place}.{key}", inner) for key, inner in value.items()]


def _source(place: str) -> tuple[_Source, str]:
    """Return the kind of a place, and the name of the template there."""
    if place == _GGUF_KEY or place.startswith(f"{_GGUF_KEY}."):
        return _Source.GGUF, place[len(_GGUF_KEY) + 1 :] or _DEFAULT
    path, _, key = place.partition(f":{_KEY}")
    folder, _, file = path.rpartition("/")
    if is_template_file(file):
        if file == "chat_template.jinja":
            return _Source.JINJA, _DEFAULT
        if folder.rpartition("/")[2] == _ADDITIONAL:
            return _Source.JINJA, file[: -len(".jinja")]
        return _Source.OTHER, place
    sources = {
        "processor_config.json": _Source.PROCESSOR,
        "chat_template.json": _Source.LEGACY,
        "tokenizer_config.json": _Source.TOKENIZER,
    }
    return sources.get(file, _Source.OTHER), key[1:] or _DEFAULT


def rendered_templates(templates: Iterable[Template]) -> dict[str, list[Template]]:
    """Return the templates that each loader may render, the loader's default first.

    With several names a loader takes the one it is asked for, ``tool_use`` with tools, or
    ``default``, so all of the source that wins are listed. A loader that finds none is left out.

    Args:
        templates: All templates of one artifact, from its header and from its model's files.
    """
    by_source: dict[_Source, list[Template]] = {}
    for template in templates:
        by_source.setdefault(_source(template.place)[0], []).append(template)
    rendered: dict[str, list[Template]] = {}
    for loader, sources in _LOADERS.items():
        winner = next((source for source in sources if source in by_source), None)
        # A processor without a file of its own renders what the tokenizer does.
        if winner is not None and (loader != "transformers processor" or winner < _Source.JINJA):
            found = by_source[winner]
            rendered[loader] = sorted(found, key=lambda one: _source(one.place)[1] != _DEFAULT)
    return rendered


def find_differing_copies(templates: Iterable[Template], url: str) -> Iterator[Finding]:
    """Yield a finding for each template whose copies in two kinds of places differ.

    White space at the end is no difference: editors and writers of JSON add and take it.

    Args:
        templates: All templates of one artifact, from its header and from its model's files.
        url: Address of the artifact.
    """
    by_name: dict[str, dict[_Source, Template]] = {}
    for template in templates:
        source, name = _source(template.place)
        if source != _Source.OTHER:
            by_name.setdefault(name, {}).setdefault(source, template)
    for copies in by_name.values():
        ordered = [copies[source] for source in sorted(copies)]
        for one, other in combinations(ordered, 2):
            if not _same(one, other):
                message = f"the chat templates in {named(one.place)} and {named(other.place)} differ"
                yield make_finding("template/copies-differ", message, url=url, field=other.place)
                break


def _same(one: Template, other: Template) -> bool:
    if one.text is None or other.text is None:
        return one.sha256 == other.sha256 and one.length == other.length
    return _normal(one.text) == _normal(other.text)


def _normal(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip()
