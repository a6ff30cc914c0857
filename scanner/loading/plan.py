"""Load plans: the files of a model that one loader would open, render or run."""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

__all__ = ["LoadPlan", "Loader", "ModelFiles", "Rule", "merge_plans"]

Loader = Literal["transformers", "diffusers", "llama.cpp", "ollama", "vllm", "mlx"]

_KEY = re.compile(r":(tokenizer\.)?chat_template[^/:]*$")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a loader, with its source, so that a reader can check it."""

    takes: str
    """What is taken, and when, in one sentence."""
    source: str
    """Package, version, file and function that the rule was read in."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelFiles:
    """The files of a model, as a loader finds them below the model's root; equal to itself only."""

    names: AbstractSet[str]
    """Paths relative to the root."""
    documents: Mapping[str, Any] = field(default_factory=dict)
    """Parsed JSON by path, of the small files that were read: objects, and the list that
    ``modules.json`` is. A file in ``names`` and not here was not read, or is invalid; a plan names
    it and does not guess its contents."""
    folder: str = ""
    """Folder of the artifact's weights below the root, with a trailing slash; empty: the root."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What one loader takes from a model, in its own order of precedence."""

    loader: Loader
    weights: tuple[str, ...] = ()
    """Files with weights, in the order in which they are opened."""
    files: tuple[str, ...] = ()
    """Other files that are opened: indexes, configs, tokenizers."""
    templates: tuple[str, ...] = ()
    """Texts that are rendered: a path, or a path, a colon and a key
    (``tokenizer_config.json:chat_template``). The one that is rendered by default comes first."""
    code: tuple[str, ...] = ()
    """Python files that are run; most loaders ask for consent first (``trust_remote_code``)."""
    missing: tuple[str, ...] = ()
    """Files that the loader asks for and does not find, without which it fails."""
    outside: tuple[str, ...] = ()
    """Names in indexes and configs, as written there, that lead out of the model's root."""
    variants: tuple[str, ...] = ()
    """Variants of the weights in the order in which they are opened (``fp16``; an empty text: the
    files without one). More than one: a mixture."""

    def opened(self) -> tuple[str, ...]:
        """Return every file that is opened, each once, in order."""
        known = {*self.files, *self.weights}
        places = (_file_of(template, known) for template in self.templates)
        return tuple(dict.fromkeys((*self.files, *self.weights, *places, *self.code)))


def merge_plans(loader: Loader, plans: Iterable[LoadPlan]) -> LoadPlan:
    """Return one plan that takes what several take, in their order, each file once."""
    parts = tuple(plans)
    return LoadPlan(
        loader=loader,
        weights=_joined([part.weights for part in parts]),
        files=_joined([part.files for part in parts]),
        templates=_joined([part.templates for part in parts]),
        code=_joined([part.code for part in parts]),
        missing=_joined([part.missing for part in parts]),
        outside=_joined([part.outside for part in parts]),
        variants=_joined([part.variants for part in parts]),
    )


def _joined(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Join tuples, each entry once."""
    filled = [part for part in parts if part]
    return tuple(dict.fromkeys(chain.from_iterable(filled))) if filled else ()


def _file_of(template: str, known: AbstractSet[str]) -> str:
    """Return the file of a template's place. Names of files may hold colons, those of keys too."""
    place = template
    while place not in known and ":" in place:
        place = place.rpartition(":")[0]
    return place if place in known else _KEY.sub("", template)
