"""Name the weights of a folder that a loader may take instead of an artifact, or with it.

transformers prefers ``model.safetensors`` to an index, diffusers the index; mlx-lm merges all of
``model*.safetensors``; vLLM takes the files of a folder that the index names, or all of them, or
``consolidated*.safetensors`` in Mistral's format; an adapter is loaded on top of weights beside it.
So which weights are loaded depends on the loader where a folder has

* the same stem twice: as a whole file, as an index, as shards;
* two of the names that loaders look for (`WELL_KNOWN`);
* an index of such a name, and another index.

The same name with another variant (``model.fp16.safetensors``) is loaded where it is asked for, and
is named apart. Many models under names of their own are a collection, and no rivals; but beside
weights that loaders look for, mlx-lm and vLLM may merge them in, as a load plan says.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from prefect_mutagen.scanner.listing.artifacts import Rivals

__all__ = ["WELL_KNOWN", "FolderWeights", "Weights", "weights_named"]

WELL_KNOWN: Final = (
    "model",
    "diffusion_pytorch_model",
    "pytorch_model",
    "consolidated",
    "adapter_model",
)
"""Stems of the weights that loaders look for, whatever the model."""
_STEMS: Final = 1_000
"""Most other stems of sets that are kept; only collections have more."""
_PER_STEM: Final = 16
_NAMED: Final = 5
_OTHERS: Final = 100
"""Most files under names of their own that are kept."""

Form = Literal["whole", "index", "shards"]


class Weights(NamedTuple):
    """Weights that a loader may find in a folder."""

    name: str
    """Name of the file; of a set, of its index, else of one of its shards."""
    stem: str
    """Its name without variant, numbers and suffix."""
    variant: str
    form: Form
    key: str
    """Identifies the file, or the set."""

    @property
    def is_well_known(self) -> bool:
        """Whether loaders look for weights of this name."""
        return self.stem in WELL_KNOWN


def weights_named(name: str, stem: str, form: Form, key: str = "") -> Weights:
    """Return the weights of a name.

    Args:
        name: Name of the file.
        stem: Its stem, which may end in a variant.
        form: What they are.
        key: Key of the set; a whole file is its own.
    """
    bare, _, variant = stem.partition(".")
    if bare not in WELL_KNOWN:
        bare, variant = stem, ""
    return Weights(name, bare, variant, form, key or name)


@dataclass(slots=True)
class FolderWeights:
    """The weights of one folder that may compete with each other."""

    _by_stem: dict[str, dict[str, Weights]] = field(default_factory=dict)
    _others: list[tuple[bool, str]] = field(default_factory=list)
    """Whole files under names of their own, those first that mlx-lm takes by their prefix."""

    def add(self, weights: Weights) -> None:
        """Note weights: those of a set once, those of a whole file if a set has its stem.

        Which shard stands for a set does not depend on the order of a listing.
        """
        if weights.form == "whole" and not weights.is_well_known:
            self._add_other(weights.name)
        known = self._by_stem.get(weights.stem)
        if known is None:
            if weights.is_well_known or (weights.form != "whole" and len(self._by_stem) < _STEMS):
                self._by_stem[weights.stem] = {weights.key: weights}
        elif weights.key in known:
            known[weights.key] = min(weights, known[weights.key])
        elif len(known) < _PER_STEM:
            known[weights.key] = weights

    def _add_other(self, name: str) -> None:
        entry = (not name.startswith("model"), name)
        if len(self._others) >= _OTHERS and entry > self._others[-1]:
            return
        if entry not in self._others:
            insort(self._others, entry)
            del self._others[_OTHERS:]

    def rivals_of(self, own: Weights) -> Rivals:
        """Return the names of the weights that compete with some of this folder."""
        weights: dict[str, None] = {}
        variants: dict[str, None] = {}
        for other in self._near(own):
            if other.key == own.key:
                continue
            if other.stem == own.stem and other.variant != own.variant:
                variants[other.name] = None
            elif other.variant == own.variant or own.form == other.form == "index":
                weights[other.name] = None
        others = sorted(name for _, name in self._others) if own.is_well_known else ()
        return Rivals(
            tuple(sorted(weights)[:_NAMED]),
            tuple(sorted(variants)[:_NAMED]),
            tuple(name for name in others if name not in weights and name not in variants),
        )

    def _near(self, own: Weights) -> Iterator[Weights]:
        """Yield all weights that may compete with some."""
        stems = dict.fromkeys((own.stem, *(WELL_KNOWN if own.is_well_known else ())))
        for stem in stems:
            for other in self._by_stem.get(stem, {}).values():
                # Of other stems, whole files are noted only while the folder is gone through.
                if own.is_well_known or not own.form == other.form == "whole":
                    yield other
        if own.form == "index":
            for stem, found in self._by_stem.items():
                if stem not in stems and (own.is_well_known or stem in WELL_KNOWN):
                    yield from (other for other in found.values() if other.form == "index")
