"""What the weights of a folder have in common with the rest of their model, up to its root."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from prefect_mutagen.scanner.content.template_places import holds_templates
from prefect_mutagen.scanner.listing.roles import OMS_NAME, role_of
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Model", "inherit", "is_root", "signed_above"]


class Model(NamedTuple):
    """What a folder's weights have in common with the rest of their model."""

    root: str
    """Address of the model's root, with a trailing slash."""
    describing: tuple[StoredObject, ...]
    """Files that describe the weights: of each name the nearest one."""
    code: tuple[StoredObject, ...]
    """Python files in the folder and below it."""
    signatures: tuple[StoredObject, ...] = ()
    """Signatures in the folders above it, which may cover its weights."""

    def with_files(self, files: Iterable[StoredObject]) -> Self:
        """Return the model with more files: describing ones, and Python files."""
        describing, code = list(self.describing), list(self.code)
        for item in files:
            (code if role_of(item.name) == "code" else describing).append(item)
        return self._replace(describing=tuple(describing), code=tuple(code))


def signed_above(model: Model, above: Iterable[StoredObject]) -> Model:
    """Return a model with the signatures of whole folders above it, none of which is its root.

    Args:
        model: The model.
        above: Files of these folders.
    """
    signatures = tuple(item for item in above if item.name == OMS_NAME)
    return model._replace(signatures=signatures) if signatures else model


def is_root(url: str, describing: Iterable[StoredObject]) -> bool:
    """Whether a folder is the root of a model.

    Args:
        url: Its address, with a trailing slash.
        describing: Describing files directly in it.
    """
    return _is_snapshot(url) or any(
        role_of(item.name) in ("card", "pipeline") for item in describing
    )


def _is_snapshot(url: str) -> bool:
    """Whether a folder is a revision in a hub's cache: ``models--O--N/snapshots/REVISION``."""
    if "/snapshots/" not in url:
        return False
    *_, repository, snapshots, _ = ("", "", *url.rstrip("/").split("/"))
    return snapshots == "snapshots" and repository.startswith("models--")


def inherit(
    model: Model | None,
    above: Iterable[tuple[StoredObject, ...]],
    root: str,
    of_root: tuple[StoredObject, ...],
) -> Model:
    """Return the model of weights whose root is a folder above them.

    Args:
        model: What is known of their own folder.
        above: Describing files and signatures of the folders between, the nearest first.
        root: Address of the root.
        of_root: Describing files and signatures of the root.
    """
    own = model or Model(root, (), ())
    known = {item.name for item in own.describing}
    inherited: dict[str, StoredObject] = {}
    signatures: list[StoredObject] = []
    for level in (*above, of_root):
        signatures += (item for item in level if role_of(item.name) == "signature")
        nearer = known | inherited.keys()
        for item in level:
            if item.name not in nearer and _counts_below(item.name):
                inherited[item.name] = item
    return Model(root, (*own.describing, *inherited.values()), own.code, tuple(signatures))


def _counts_below(name: str) -> bool:
    """Whether a file counts for the weights in folders below, where no nearer one has its name.

    Who loads a GGUF file of a subfolder from the root, as transformers and vLLM do by its path, has
    the root's template rendered.
    """
    return name == "config.json" or role_of(name) in ("card", "licence") or holds_templates(name)
