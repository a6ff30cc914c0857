"""Pickles, and weights in formats that are not examined: which are artifacts, and which lie beside.

Beside weights that are examined, or beside pickles that loaders look for by their names, such a
file is told with the model that it lies beside. Without, it is an artifact of its own, so that no
folder of them is silently passed over; so is each of very many in one folder, and a pickle under a
name of its own in a folder that nothing says is one model.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect_mutagen.scanner.census import Role
from prefect_mutagen.scanner.listing.artifacts import LooseFiles
from prefect_mutagen.scanner.listing.object_spool import FolderObjects
from prefect_mutagen.scanner.listing.shards import numbered_set
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["LOOSE", "MOST_BESIDE", "LooseWeights", "is_looked_for", "pickled_set"]

LOOSE: Final[tuple[Role, ...]] = ("pickle", "other-weights")
"""Roles of weights that are no GGUF or safetensors files."""
MOST_BESIDE: Final = 128
"""Most files that are told with a model; of more in one folder, each is an artifact of its own."""

_LOOKED_FOR: Final = re.compile(
    r"(?:diffusion_)?pytorch_model(?:[.-][\w.-]+)?\.bin|adapter_model\.bin|pytorch_lora_weights\.bin"
    r"|consolidated\.\d\d\.pth",
    re.DOTALL,
)
"""Names of pickles that transformers, diffusers and PEFT look for, and Meta's layout."""
_OF_TRAINERS: Final = re.compile(
    r"training_args\.bin|(?:optimizer|scheduler|scaler|sampler|dl_state_dict)(?:_\d+)?\.(?:pt|bin|pth)"
    r"|rng_state(?:_\d+)?\.pth|(?:random_states|custom_checkpoint)_\d+\.pkl"
    r"|(?:bf16_)?(?:zero_pp|mp|layer_\d+-model|expert_\d+_mp)_(?:rank_)?\d+.*\.pt"
    r"|mm_projector\.bin|non_lora_trainables\.bin|learned_embeds(?:[-_].+)?\.bin",
    re.DOTALL,
)
"""Names under which transformers, accelerate, DeepSpeed, LLaVA and diffusers leave pickles."""
_DATA: Final = re.compile(
    r".+\.onnx[._]data(?:_\d+)?|.+\.data-\d{5}-of-\d{5}|openvino_\w+\.bin|.+\.pdiparams|.+\.params",
    re.IGNORECASE | re.DOTALL,
)
"""Names of files that hold only the numbers of a model that another file describes."""


def pickled_set(name: str) -> str:
    """Return what the names of one set of numbered pickles have in common; empty if it is none."""
    return numbered_set(name) if is_looked_for(name) else ""


def is_looked_for(name: str) -> bool:
    """Whether loaders look for a pickle of this name, whatever the model."""
    return _LOOKED_FOR.fullmatch(name) is not None


@dataclass(slots=True)
class LooseWeights:
    """The pickles and other weights of one folder, while it is listed."""

    url: str
    """Address of the folder, with a trailing slash."""
    objects: FolderObjects
    """Where they are kept, by role and path below the folder."""
    counts: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(LOOSE, 0))
    _looked_for: int = 0
    _heads: int = 0
    """Other weights that are more than the numbers of another file."""

    def add(self, item: StoredObject, role: Role) -> None:
        """Add a file of the folder, or of one below that is no model of its own."""
        self.objects.add(role, item.plain_url[len(self.url) :], item)
        self.counts[role] += 1
        if role == "pickle":
            self._looked_for += is_looked_for(item.name)
        else:
            self._heads += not _is_data(item.name)

    def __len__(self) -> int:
        """Return the number of files."""
        return sum(self.counts.values())

    @property
    def is_model(self) -> bool:
        """Whether loaders look for some of them by their names."""
        return self._looked_for > 0

    def files(self) -> Iterator[tuple[Role, StoredObject]]:
        """Yield all files with their roles: pickles first, each sorted by path."""
        for role in LOOSE:
            for _, item in self.objects.items(role):
                yield role, item

    def alone(self, *, beside_weights: bool, described: bool) -> Iterator[StoredObject]:
        """Yield the files that are artifacts of their own.

        Args:
            beside_weights: Whether the folder has weights that are examined.
            described: Whether a file says what the model of the folder is.
        """
        crowded = self._is_crowded(beside_weights=beside_weights)
        for role, item in self.files():
            if beside_weights or self._looked_for:
                first = not beside_weights and role == "pickle" and is_looked_for(item.name)
                if first or crowded or not (described or _is_everyday(item.name, role)):
                    yield item
            elif role == "pickle" or not (self._heads and _is_data(item.name)):
                yield item

    def beside(self, role: Role, *, beside_weights: bool, described: bool) -> LooseFiles:
        """Return the files of a role that lie beside an artifact of the folder.

        Args:
            role: The role.
            beside_weights: Whether the folder has weights that are examined. Without, the artifact
                is one of these files itself, and others that are artifacts lie beside none.
            described: Whether a file says what the model of the folder is.
        """
        if not self.counts[role] or not (beside_weights or self._looked_for):
            return LooseFiles()
        crowded = self._is_crowded(beside_weights=beside_weights)
        first: list[StoredObject] = []
        names: list[str] = []
        digest, number = hashlib.sha256(), 0
        for name, item in self.objects.items(role):
            if not beside_weights and role == "pickle" and is_looked_for(item.name):
                continue
            if not (described or _is_everyday(item.name, role)):
                continue
            number += 1
            text = f"{name}\0{item.pin}" if number == 1 else f"\n{name}\0{item.pin}"
            digest.update(text.encode("utf-8", "surrogateescape"))
            if number <= MOST_BESIDE:
                names.append(name)
                if not crowded:
                    first.append(item)
        if not number:
            return LooseFiles()
        return LooseFiles(tuple(names), number, digest.hexdigest(), tuple(first))

    def _is_crowded(self, *, beside_weights: bool) -> bool:
        return len(self) - (0 if beside_weights else self._looked_for) > MOST_BESIDE


def _is_everyday(name: str, role: Role) -> bool:
    """Whether a file lies beside weights wherever models are trained or converted."""
    if role != "pickle" or is_looked_for(name):
        return True
    return _OF_TRAINERS.fullmatch(name) is not None


def _is_data(name: str) -> bool:
    return _DATA.fullmatch(name) is not None
