"""Load plans: the files of a model that one loader would open, render or run."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["LoadPlan", "Loader", "ModelFiles", "Rule"]

Loader = Literal["transformers", "diffusers", "llama.cpp", "ollama", "vllm", "mlx"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a loader, with its source, so that a reader can check it."""

    takes: str
    """What is taken, and when, in one sentence."""
    source: str
    """Package, version, file and function that the rule was read in."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model, as a loader finds them below the model's root."""

    names: AbstractSet[str]
    """Paths relative to the root."""
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """JSON objects by path, of the small files that were read. A file in ``names`` and not here
    was not read, or is invalid; a plan names it and does not guess its contents."""
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

    def opened(self) -> tuple[str, ...]:
        """Return every file that is opened, each once, in order."""
        places = (template.partition(":")[0] for template in self.templates)
        return tuple(dict.fromkeys((*self.files, *self.weights, *places, *self.code)))
