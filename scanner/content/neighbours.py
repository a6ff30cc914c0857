"""Read the files of a model that describe it: configuration, tokenizer, adapter, model card.

Each comes by its path relative to the model's root. Of several files of one name, the one nearest
to the weights counts. All are as untrusted as the weights: each is read up to a limit and parsed as
plain data, and a problem in one file is a finding and does not affect the others. ``_name_or_path``
is often a path in a home directory, so it counts as a base model only if it looks like
``owner/name``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from prefect_mutagen.parsers.errors import named, shown
from prefect_mutagen.scanner.content.details import card_details, config_details
from prefect_mutagen.scanner.content.facts import Facts, Stated, plain_text, whole_number
from prefect_mutagen.scanner.content.license_places import licenses_beside
from prefect_mutagen.scanner.content.license_statements import LicenseStatement
from prefect_mutagen.scanner.content.lineage import (
    BASE_KEYS,
    file_lineage,
    merge_lineage,
    repository_of,
)
from prefect_mutagen.scanner.content.quantization import Quantization, find_quantization
from prefect_mutagen.scanner.content.read_limits import read_limit
from prefect_mutagen.scanner.content.safe_load import (
    Loaded,
    is_front_matter_open,
    load_front_matter,
    load_json,
)
from prefect_mutagen.scanner.content.template_places import (
    holds_templates,
    is_template_file,
    model_templates,
)
from prefect_mutagen.scanner.content.templates import (
    LONGEST_TEMPLATES,
    Template,
    find_template_escapes,
)
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = ["Neighbours", "read_neighbours", "read_up_to"]

_LISTS: Final = ("modules.json",)
_BESIDE_WEIGHTS: Final = ("config.json", "adapter_config.json")
_CARD: Final = "readme.md"
_TEMPLATE_COST: Final = 500
"""Characters that the shortest template counts for."""
_CARD_LIMIT: Final = 4 << 20
"""Most bytes that are read of a card whose front matter does not end earlier."""
_MEMORY_LIMIT: Final = 96 << 20
"""Most bytes that all JSON files of a model may take once they are parsed."""

_CONTEXT_KEYS: Final = (
    "max_position_embeddings",
    "n_positions",
    "seq_length",
    "max_sequence_length",
    "max_seq_len",
    "n_ctx",
)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Contents of the files beside a model."""

    before: Facts = field(default_factory=dict)
    """Facts that override the header's: the card's licence, and the framework."""
    behind: Facts = field(default_factory=dict)
    """Facts that apply where the header states none."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Values of config.json and tokenizer_config.json for the SBOM's metadata."""
    packing: Quantization | None = None
    """What they state about the model's quantization."""
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Contents of config.json and adapter_config.json in the folder of the weights, by name."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts beyond the SBOM's fields."""
    templates: tuple[Template, ...] = ()
    findings: tuple[Finding, ...] = ()
    licenses: tuple[tuple[LicenseStatement, ...], tuple[LicenseStatement, ...]] = ((), ())
    """Statements about the licence: before the header's in precedence, and behind it."""
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON files that were read, by path. A list is the value of the empty key."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file that was read whole, by path."""
    memory: int = 0
    """Bytes that the documents take, an upper bound."""


@dataclass(slots=True)
class _Files:
    """The files of a model as they were read."""

    contents: Mapping[str, tuple[str, bytes]]
    folder: str
    findings: list[Finding] = field(default_factory=list)
    documents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    memory: int = 0
    """Bytes that the documents take, an upper bound."""

    def nearest(self, name: str) -> str:
        """Return the path of the file of this name nearest to the weights; empty if none.

        A card may be written in another case: people read it all the same.
        """
        if name == "README.md":
            return next(iter(self.cards()), "")
        paths = (folder + name for folder in self.folders())
        return next((path for path in paths if path in self.contents), "")

    def folders(self) -> Iterator[str]:
        """Yield the folder of the weights and those above it, each with a trailing slash."""
        folder = self.folder
        while folder:
            yield folder
            above = folder[:-1].rpartition("/")[0]
            folder = f"{above}/" if above else ""
        yield ""

    def cards(self) -> list[str]:
        """Return the paths of the cards in these folders, the nearest first."""
        nearness = {folder: number for number, folder in enumerate(self.folders())}
        cards = []
        for path in self.contents:
            folder, name = _split(path)
            if name.lower() == _CARD and folder in nearness:
                cards.append((nearness[folder], name != "README.md", path))
        return [path for *_, path in sorted(cards)]

    def nearest_documents(self) -> dict[str, Mapping[str, Any]]:
        """Return the JSON files that hold for the weights, by path: of each name the nearest."""
        return {
            path: values
            for path, values in self.documents.items()
            if self.nearest(_split(path)[1]) == path
        }

    def load_all(self) -> None:
        """Load every JSON file."""
        for path in self.contents:
            if path.endswith(".json"):
                listed = path.rpartition("/")[2] in _LISTS
                loader = partial(load_json, allow_list=True) if listed else load_json
                self.documents[path] = self._load(loader, path)

    def load_cards(self) -> dict[str, Mapping[str, Any]]:
        """Load the front matter of every card, by path."""
        return {path: self._load(load_front_matter, path) for path in self.cards()}

    def _load(self, loader: Callable[[bytes], Loaded], path: str) -> Mapping[str, Any]:
        """Load one file; if it is invalid, add a finding and return what could be read."""
        url, raw = self.contents[path]
        is_card = loader is load_front_matter
        limit = _CARD_LIMIT if is_card else read_limit(path.rpartition("/")[2])
        if len(raw) >= limit and (not is_card or is_front_matter_open(raw)):
            what = "its front matter" if is_card else "it"
            loaded = Loaded(problem=f"{what} is larger than the {limit} bytes that are examined")
            loaded = replace(loaded, unexamined=True)
        else:
            loaded = loader(raw)
        self.memory += loaded.memory
        if self.memory > _MEMORY_LIMIT:
            problem = f"the model's files together take more than {_MEMORY_LIMIT >> 20} MB to parse"
            self.memory -= loaded.memory
            loaded = Loaded(problem=problem, unexamined=True)
        self.findings += _problems(loaded, path, url, is_card=is_card)
        return loaded.values

    def document(self, name: str) -> Mapping[str, Any]:
        """Return the values of the nearest JSON file of a name."""
        return self.documents.get(self.nearest(name), {})

    def placed(self, facts: Facts) -> Facts:
        """Return facts whose sources name the files by path, not by name."""
        return {
            field: stated._replace(source=self.place(stated.source))
            for field, stated in facts.items()
        }

    def place(self, source: str) -> str:
        """Return a source with the path of its file in place of the name."""
        name, _, key = source.partition(":")
        return f"{self.nearest(name) or name}:{key}"


def read_neighbours(files: Mapping[str, tuple[str, bytes]], folder: str = "") -> Neighbours:
    """Parse the files of a model that describe its weights.

    Args:
        files: Address and content, up to `read_limit`, of each file, by its path relative to the
            model's root.
        folder: Folder of the weights below the root, with a trailing slash; empty: the root.

    Returns:
        Their facts and findings.
    """
    read = _Files(files, folder)
    read.load_all()
    findings = read.findings
    config = read.document("config.json")
    tokenizer = read.document("tokenizer_config.json")
    generation = read.document("generation_config.json")
    adapter = read.document("adapter_config.json")
    cards = read.load_cards()
    card = next(iter(cards.values()), {})
    before: Facts = {}
    behind: Facts = {}
    _add(before, "training_framework", _frameworks(config, tokenizer))
    _add(behind, "architecture", _architectures(config))
    _add(behind, "dtype", _dtypes(config, tokenizer))
    _add(behind, "context_length", _numbers_in(config, _CONTEXT_KEYS))
    _add(behind, "vocab_size", _numbers_in(config, ("vocab_size",)))
    _add(behind, "base_model", _base_models(card, adapter, config, tokenizer))
    texts = {path: raw for path, (_, raw) in files.items() if is_template_file(path)}
    templates = tuple(model_templates(texts, read.documents))
    findings += _judge_templates(templates, files)
    packing = find_quantization(config, read.document("hf_quant_config.json"))
    if packing is not None:
        packing = replace(packing, source=read.place(packing.source))
    beside = {name: read.documents.get(folder + name) for name in _BESIDE_WEIGHTS}
    documents = read.nearest_documents()
    licenses = licenses_beside(list(read.folders()), cards, documents, files)
    lineage = [file_lineage(path, values, is_card=True) for path, values in cards.items()]
    lineage += (file_lineage(path, values) for path, values in documents.items())
    details = card_details(card) | config_details(config, generation, adapter)
    base_models = merge_lineage(lineage)
    if base_models:
        details["base_models"] = base_models
    before, behind = read.placed(before), read.placed(behind)
    for facts, statements in zip((before, behind), licenses, strict=True):
        _add(facts, "license", (Stated(one.value, one.source) for one in statements))
    return Neighbours(
        before,
        behind,
        _sbom_config(config, tokenizer),
        packing,
        {name: values for name, values in beside.items() if values},
        details,
        tuple(template for _, template in templates),
        tuple(findings),
        licenses,
        read.documents,
        memory=read.memory,
    )


def _split(path: str) -> tuple[str, str]:
    """Return the folder of a path, with its slash, and the name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash, name


def read_up_to(name: str, raw: bytes, size: int) -> int:
    """Return up to which byte a file has to be read, given its first bytes.

    Args:
        name: Its name.
        raw: Its first bytes: up to its limit.
        size: Its size.

    Returns:
        The number of bytes there, or more for a card whose front matter has not ended.
    """
    most = min(size, _CARD_LIMIT)
    if name.lower() != _CARD or len(raw) >= most or not is_front_matter_open(raw):
        return len(raw)
    return min(most, 4 * len(raw))


def _judge_templates(
    templates: Iterable[tuple[str, Template]], files: Mapping[str, tuple[str, bytes]]
) -> Iterator[Finding]:
    """Yield findings about the templates of a model, as long as they are not too much together."""
    known: set[str] = set()
    cost = 0
    for path, template in templates:
        url = files[path][0]
        if template.sha256 not in known:
            known.add(template.sha256)
            cost += _TEMPLATE_COST + len(template.text or "")
        if cost > LONGEST_TEMPLATES:
            message = (
                f"{path}: the chat templates from {named(template.place)} on are not examined: "
                f"those of a model have more than {LONGEST_TEMPLATES} characters together"
            )
            yield make_finding("template/unexamined", message, url=url, field=path)
            return
        yield from find_template_escapes((template,), url)


def _add(facts: Facts, name: str, candidates: Iterator[Stated]) -> None:
    stated = next(candidates, None)
    if stated is not None:
        facts[name] = stated


def _problems(loaded: Loaded, path: str, url: str, *, is_card: bool) -> Iterator[Finding]:
    """Yield what is wrong with a file that was loaded."""
    if loaded.problem:
        code = "front-matter-invalid" if is_card else "neighbour-invalid"
        code = "unexamined" if loaded.unexamined else code
        yield make_finding(f"sbom/{code}", f"{path}: {loaded.problem}", url=url, field=path)
        if loaded.unexamined and holds_templates(path):
            message = f"chat templates in {path} are not examined: {loaded.problem}"
            yield make_finding("template/unexamined", message, url=url, field=path)
    elif loaded.duplicate:
        message = f"{path}: the key {shown(loaded.duplicate)} appears twice"
        yield make_finding("sbom/duplicate-key", message, url=url, field=path)


def _strings(key: str, *sources: tuple[str, Mapping[str, Any]]) -> Iterator[Stated]:
    for name, values in sources:
        text = plain_text(values.get(key))
        if text:
            yield Stated(text, f"{name}:{key}")


def _architectures(config: Mapping[str, Any]) -> Iterator[Stated]:
    yield from _strings("model_type", ("config.json", config))
    names = _string_list(config.get("architectures"))
    if names:
        yield Stated(names[0], "config.json:architectures")


def _string_list(value: Any) -> list[str]:
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [text for text in map(plain_text, values) if text]


def _dtypes(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> Iterator[Stated]:
    yield from _strings("torch_dtype", ("config.json", config))
    yield from _strings("dtype", ("config.json", config))
    yield from _strings("torch_dtype", ("tokenizer_config.json", tokenizer))


def _numbers_in(config: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Stated]:
    """Yield the numbers under any of the keys, also in ``text_config`` of multimodal models."""
    nested = config.get("text_config")
    for prefix, values in (("", config), ("text_config.", nested)):
        if not isinstance(values, dict):
            continue
        for key in keys:
            number = whole_number(values.get(key))
            if number is not None and not isinstance(values[key], bool):
                yield Stated(number, f"config.json:{prefix}{key}")


def _frameworks(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> Iterator[Stated]:
    for name, values in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        version = plain_text(values.get("transformers_version"))
        if version:
            yield Stated(f"transformers {version}", f"{name}:transformers_version")
    version = plain_text(config.get("_diffusers_version"))
    if version:
        yield Stated(f"diffusers {version}", "config.json:_diffusers_version")


def _base_models(
    card: Mapping[str, Any],
    adapter: Mapping[str, Any],
    config: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
) -> Iterator[Stated]:
    for name in _string_list(card.get("base_model")):
        yield Stated(name, "README.md:base_model")
    for file, values in (
        ("adapter_config.json", adapter),
        ("config.json", config),
        ("tokenizer_config.json", tokenizer),
    ):
        for key in (*BASE_KEYS, "_name_or_path"):
            for name in _string_list(values.get(key)):
                repository = repository_of(name)
                if repository:
                    yield Stated(repository, f"{file}:{key}")


def _sbom_config(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "model_type": plain_text(config.get("model_type")),
        "architectures": _string_list(config.get("architectures")),
        "torch_dtype": next(_dtypes(config, tokenizer), (None,))[0],
        "transformers_version": plain_text(config.get("transformers_version")),
        "tokenizer_class": plain_text(tokenizer.get("tokenizer_class")),
    }
    return {key: value for key, value in values.items() if value}
