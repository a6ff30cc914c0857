"""Find what the configurations of a model say about code: which modules a loader would run.

Read in transformers 5.24.0 (``dynamic_module_utils``, ``models/auto``, ``pipelines``,
``generation/utils``, ``integrations/hub_kernels``), diffusers 0.42.1 (``pipeline_loading_utils``,
``dynamic_modules_utils``, ``auto_model``, ``modular_pipeline``), sentence-transformers 6.2.0
(``util/misc``, ``base/modules``), peft 0.21.2 (``auto``, ``tuners/lora/tp_layer``) and mlx-lm
0.32.2 (``utils``). What one release refuses and another runs counts as run.

A key counts wherever it stands, in nested configurations and in configurations for other versions
too. Nothing here reads a file: `scanner.examine.remote_code` does.
"""

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from prefect_mutagen.scanner.content.code_libraries import (
    DIFFUSERS_LIBRARIES,
    HARMLESS_CLASSES,
    PEFT_LIBRARIES,
    is_below,
)
from prefect_mutagen.scanner.content.facts import plain_text

__all__ = [
    "REFERENCE_LIMIT",
    "CodeReference",
    "Kind",
    "code_references",
    "may_name_code",
    "module_files",
]

Kind = Literal["own", "other-repository", "kernel", "imported-name", "outside"]
"""``own``: a file of the model. ``outside``: a file that is not below the model's folder."""

REFERENCE_LIMIT: Final = 1_000
"""Most references that are returned; one more says that there are more."""
_TEXT_LIMIT: Final = 200
_PLACE_LIMIT: Final = 300
_COMMUNITY: Final = "diffusers/community-pipelines-mirror"
"""Where diffusers looks for a custom pipeline whose name has no slash (dynamic_modules_utils)."""
_PIPELINE: Final = "pipeline.py"
"""Custom pipeline of a repository, taken because of its name: CUSTOM_PIPELINE_FILE_NAME."""
_GENERATE: Final = "custom_generate/generate.py"
_REQUIREMENTS: Final = "custom_generate/requirements.txt"

_REPOSITORY: Final = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)?", re.ASCII)
_DOTTED: Final = re.compile(r"\w+(?:\.\w+)+")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_NAMES_CODE: Final = re.compile(
    r"(?:.*config.*|modules|model_index|modular_model_index)\.json", re.DOTALL
)


class CodeReference(NamedTuple):
    """Something in a model's files that has a loader run code."""

    kind: Kind
    place: str
    """File and key, such as ``config.json:auto_map.AutoModel``; the file alone if it is taken
    because of its name."""
    text: str
    """What is stated there, truncated."""
    path: str = ""
    """Of ``own``: path of the module relative to the model's root, whether it exists or not."""
    repository: str = ""
    """Of ``other-repository`` and ``kernel``: its name, without revision."""
    module: str = ""
    """The module, as it is named there."""

    @property
    def file(self) -> str:
        """Path of the file that states it."""
        return self.place.partition(":")[0]


def may_name_code(path: str) -> bool:
    """Whether a JSON file of this name is one of those that can have a loader run code."""
    return _NAMES_CODE.fullmatch(posixpath.basename(path)) is not None


def code_references(
    documents: Mapping[str, Mapping[str, Any]], names: AbstractSet[str]
) -> tuple[CodeReference, ...]:
    """Return everything that has a loader run code, each place once.

    Args:
        documents: The JSON files of a model by path relative to its root. A list, such as
            modules.json, is carried as an object whose only key is the empty text.
        names: Paths of all files of the model.

    Returns:
        At most `REFERENCE_LIMIT` references and one more.
    """
    found: dict[CodeReference, None] = {}
    for path, document in documents.items():
        for reference in islice(_Reader(path, names).references(document), REFERENCE_LIMIT + 1):
            found[reference] = None
    for path in names:
        if path == _GENERATE or path.endswith(f"/{_GENERATE}"):
            needs = path.removesuffix(_GENERATE) + _REQUIREMENTS in names
            text = f"needs the packages of {_REQUIREMENTS}" if needs else ""
            found[CodeReference("own", path, text, path)] = None
        elif posixpath.basename(path) == _PIPELINE and _beside(path, "model_index.json") in names:
            found[CodeReference("own", path, "", path)] = None
    return tuple(islice(found, REFERENCE_LIMIT + 1))


def _beside(path: str, name: str) -> str:
    return posixpath.join(posixpath.dirname(path), name)


class _Reader(NamedTuple):
    """Reads one document."""

    path: str
    names: AbstractSet[str]

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    def references(self, document: Mapping[str, Any]) -> Iterator[CodeReference]:
        """Yield the references of a document: those of its kind, then those of keys anywhere."""
        if self.name == "modules.json":
            yield from self._modules(document.get(""))
        elif self.name in ("model_index.json", "modular_model_index.json"):
            yield from self._pipeline(document)
        elif self.name == "wordembedding_config.json":
            yield from self._class_name("tokenizer_class", document.get("tokenizer_class"))
        elif self.name.startswith("config."):
            yield from self._model_file(document.get("model_file"))
        pending: list[tuple[str, Any]] = [("", document)]
        while pending:
            prefix, node = pending.pop()
            members = node.items() if isinstance(node, Mapping) else enumerate(node)
            for key, value in members:
                place = f"{prefix}{key}"[:_PLACE_LIMIT]
                rule = _RULES.get(key)
                if rule is not None:
                    yield from rule(self, place, value)
                elif isinstance(key, str) and "_implementation" in key:
                    yield from self._kernels(place, value)
                if isinstance(value, Mapping | list) and key != "added_tokens_decoder":
                    pending.append((f"{place}.", value))

    def class_references(self, place: str, value: Any) -> Iterator[CodeReference]:
        """Yield the modules of ``auto_map`` and its kin: texts, or lists and objects of them."""
        pending = deque([(place, value)])
        while pending:
            place, value = pending.popleft()
            if isinstance(value, str):
                yield from self._class_reference(place, value)
            elif isinstance(value, list):
                pending += ((place, item) for item in value)
            elif isinstance(value, Mapping):
                pending += ((f"{place}.{key}"[:_PLACE_LIMIT], item) for key, item in value.items())

    def _class_reference(self, place: str, text: str) -> Iterator[CodeReference]:
        repository, mark, rest = text.partition("--")
        if mark:
            yield self._elsewhere(place, text, repository, rest.rpartition(".")[0] or rest)
            return
        # An image processor's class is made of a feature extractor's, a video processor's of an
        # image processor's, by replacing words, also in the name of the module (models/auto).
        derived = text.replace("FeatureExtractor", "ImageProcessor")
        for form in dict.fromkeys((text, derived, derived.replace("Image", "Video"))):
            module = form.rpartition(".")[0] or form
            for reference in self._own(place, text, module):
                if form == text or reference.path in self.names:
                    yield reference

    def _elsewhere(self, place: str, text: str, repository: str, module: str) -> CodeReference:
        """Return the reference to a module of another repository, or of a folder somewhere."""
        if not _REPOSITORY.fullmatch(repository):
            return self._reference("outside", place, text, module=module)
        return self._reference(
            "other-repository", place, text, repository=repository, module=module
        )

    def _own(self, place: str, text: str, module: str) -> Iterator[CodeReference]:
        """Yield the files that a module of the model may be: in the file's folder, or the root."""
        forms = module_files(self.folder, module)
        if not forms:
            yield self._reference("outside", place, text, module=module)
            return
        there = [form for form in forms if form in self.names]
        for path in there or forms[:1]:
            yield self._reference("own", place, text, path=path, module=module)

    def _reference(self, kind: Kind, place: str, text: str, **where: str) -> CodeReference:
        short = (plain_text(text) or "")[:_TEXT_LIMIT]
        if "path" not in where:
            where = {key: (plain_text(value) or "")[:_TEXT_LIMIT] for key, value in where.items()}
        return CodeReference(kind, f"{self.path}:{plain_text(place) or ''}", short, **where)

    def custom_tasks(self, place: str, value: Any) -> Iterator[CodeReference]:
        """Yield the modules of ``custom_pipelines`` (transformers: pipelines/__init__.py)."""
        if isinstance(value, Mapping):
            for task, entry in value.items():
                if isinstance(entry, Mapping):
                    named = f"{place}.{task}.impl"[:_PLACE_LIMIT]
                    yield from self.class_references(named, entry.get("impl"))

    def _kernels(self, place: str, value: Any) -> Iterator[CodeReference]:
        """Yield the kernels that implement attention or experts, for the model and its parts."""
        pending = [(place, value)]
        while pending:
            place, value = pending.pop()
            if isinstance(value, Mapping):
                pending += ((f"{place}.{key}"[:_PLACE_LIMIT], item) for key, item in value.items())
            elif isinstance(value, str) and "/" in value:
                named = value.rpartition("|")[2].strip()
                repository = named.partition(":")[0].partition("@")[0].strip()
                yield self._reference("kernel", place, value, repository=repository)

    def _model_file(self, value: Any) -> Iterator[CodeReference]:
        """Yield what mlx-lm runs as the architecture: any file, as a module that is named here."""
        if not isinstance(value, str) or not value:
            return
        path = _join(self.folder, value)
        if path is None:
            yield self._reference("outside", "model_file", value, module=value)
            return
        yield self._reference("own", "model_file", value, path=path, module=value)
        yield self._reference("imported-name", "model_file", value, module=value)

    def _class_name(self, place: str, value: Any) -> Iterator[CodeReference]:
        """Yield the module of a class that sentence-transformers makes by its dotted name."""
        if not isinstance(value, str) or is_below(value, HARMLESS_CLASSES):
            return
        if "--" in value:
            yield from self._class_reference(place, value)
            return
        module = value.rpartition(".")[0] or value
        own = [
            reference
            for reference in self._own(place, value, module)
            if reference.kind != "own" or reference.path in self.names
        ]
        yield from own or (self._reference("imported-name", place, value, module=module),)

    def activation(self, place: str, value: Any) -> Iterator[CodeReference]:
        """Yield the module of an activation function, where one is named with its module."""
        if not isinstance(value, str) or is_below(value, HARMLESS_CLASSES):
            return
        if _DOTTED.fullmatch(value):
            module = value.rpartition(".")[0]
            yield self._reference("imported-name", place, value, module=module)

    def library(self, place: str, value: Any) -> Iterator[CodeReference]:
        """Yield what peft imports: ``megatron_core``, ``parent_library`` of ``auto_mapping``."""
        if isinstance(value, Mapping):
            place, value = f"{place}.parent_library", value.get("parent_library")
        if isinstance(value, str) and value and not is_below(value, PEFT_LIBRARIES):
            yield self._reference("imported-name", place, value, module=value)

    def types(self, place: str, value: Any) -> Iterator[CodeReference]:
        """Yield the modules of a router's ``types`` (sentence-transformers: modules/router.py)."""
        if isinstance(value, Mapping):
            for key, item in value.items():
                if isinstance(item, str) and "." in item:
                    yield from self._class_name(f"{place}.{key}"[:_PLACE_LIMIT], item)

    def _modules(self, entries: Any) -> Iterator[CodeReference]:
        """Yield the modules of ``modules.json`` that are not of sentence-transformers."""
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, Mapping):
                yield from self._class_name(f"[{number}].type", entry.get("type"))

    def _pipeline(self, document: Mapping[str, Any]) -> Iterator[CodeReference]:
        """Yield the code of a pipeline: its own class, and the classes of its components."""
        for key, value in document.items():
            if key in ("_class_name", "custom_pipeline"):
                name = value[0] if isinstance(value, list) and value else value
                if isinstance(name, str) and (isinstance(value, list) or key != "_class_name"):
                    yield from self._custom_pipeline(key, name)
            elif isinstance(value, list) and len(value) > 1:
                yield from self._component(key, value[0])
                spec = value[2] if len(value) > 2 else None
                hint = spec.get("type_hint") if isinstance(spec, Mapping) else None
                if isinstance(hint, list) and hint:
                    yield from self._component(f"{key}.type_hint", hint[0])

    def _custom_pipeline(self, place: str, name: str) -> Iterator[CodeReference]:
        path = _join(self.folder, name.removesuffix(".py"))
        if path is not None and f"{path}.py" in self.names:
            yield self._reference("own", place, name, path=f"{path}.py", module=name)
        elif "/" in name or path is None:
            yield self._elsewhere(place, name, name, "pipeline")
        else:
            yield self._elsewhere(place, name, _COMMUNITY, name)

    def _component(self, place: str, library: Any) -> Iterator[CodeReference]:
        if not isinstance(library, str) or not library:
            return
        path = _join(posixpath.join(self.folder, place.partition(".")[0]), library)
        if path is None:
            yield self._reference("outside", place, library, module=library)
        elif f"{path}.py" in self.names:
            yield self._reference("own", place, library, path=f"{path}.py", module=library)
        elif library not in DIFFUSERS_LIBRARIES:
            yield self._reference("imported-name", place, library, module=library)


def module_files(folder: str, module: str) -> list[str]:
    """Return the files that a module of the model may be; none if one lies outside of it.

    Args:
        folder: Folder of the file that names it, relative to the model's root.
        module: The module, as it is named there.
    """
    forms = []
    for start in dict.fromkeys((folder, "")):
        path = _join(start, module)
        if path is None:
            return []
        package = posixpath.join(start, module.replace(".", "/"))
        forms += [f"{path}.py", f"{package}.py", f"{package}/__init__.py"]
    return list(dict.fromkeys(forms))


def _join(folder: str, module: str) -> str | None:
    """Return the path of a module relative to the model's root; None if it lies outside."""
    module = module.replace("\\", "/")
    if module.startswith(("/", "~")) or _DRIVE.match(module):
        return None
    path = posixpath.normpath(posixpath.join(folder, module))
    return None if path == "." or path.startswith(("/", "..")) else path


_Rule = Callable[[_Reader, str, Any], Iterator[CodeReference]]
_RULES: Final[Mapping[Any, _Rule]] = MappingProxyType(
    {
        "auto_map": _Reader.class_references,
        "custom_pipelines": _Reader.custom_tasks,
        "megatron_core": _Reader.library,
        "auto_mapping": _Reader.library,
        "activation_function": _Reader.activation,
        "activation_fn": _Reader.activation,
        "sbert_ce_default_activation_function": _Reader.activation,
        "types": _Reader.types,
    }
)
