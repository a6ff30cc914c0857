"""Report what lies beside an artifact that bears on it, whatever it is: file, set or pipeline."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.examine.naming import listed, some_of
from prefect_mutagen.scanner.findings import Finding, make_finding
from prefect_mutagen.scanner.listing.artifacts import Artifact, LooseFiles, Rivals
from prefect_mutagen.scanner.listing.evidence import check_unfinished

__all__ = ["check_beside", "pickles_beside", "places_of"]

_MOST_PLACES: Final = 100


def check_beside(artifact: Artifact) -> Iterator[Finding]:
    """Report pickles, other weights, unfinished downloads and files that were not looked at.

    Args:
        artifact: The artifact, as it was listed.
    """
    url, beside = artifact.url, artifact.beside
    own = {item.url for item in artifact.objects}
    yield from _check_pickles(beside.pickles, own, url)
    yield from _check_rivals(artifact.rivals, url)
    yield from check_unfinished(beside.unfinished, url)
    yield from _check_unlisted(beside.unlisted, url)
    yield from _check_unseen(beside.unseen, url)


def _check_pickles(pickles: LooseFiles, own: set[str], url: str) -> Iterator[Finding]:
    """Report pickles that a loader of the folder may load instead.

    Args:
        pickles: The pickles.
        own: Addresses of the artifact's own files, which an index may name.
        url: Address of the artifact.
    """
    places = zip(pickles.names, pickles.items, strict=False)
    inside = {name for name, item in places if item.url in own}
    names = [name for name in pickles.names if name not in inside]
    if names:
        yield pickles_beside(names, pickles.total - len(inside), url)


def pickles_beside(names: Iterable[str], total: int, url: str) -> Finding:
    """Return the finding that pickles lie in the folder of an artifact.

    Args:
        names: Names of the first ones.
        total: How many there are.
        url: Address of the artifact.
    """
    message = f"pickled weights in the same folder: {some_of(map(shown, names), total)}"
    return make_finding("set/pickle-beside", message, url=url, field="folder")


def _check_rivals(rivals: Rivals, url: str) -> Iterator[Finding]:
    """Report other weights that a loader of the folder may load instead, or as well."""
    if rivals.weights:
        names = listed(rivals.weights)
        message = f"which weights are loaded depends on the loader: the folder also has {names}"
        yield make_finding("set/ambiguous-weights", message, url=url, field="folder")
    if rivals.variants:
        message = f"other variants in the same folder: {listed(rivals.variants)}"
        yield make_finding("set/variant-beside", message, url=url, field="folder")


def _check_unlisted(count: int, url: str) -> Iterator[Finding]:
    """Report that a folder has more files than are taken into account.

    Args:
        count: Number of those that are not.
        url: Address of the artifact.
    """
    if count:
        message = f"{count:,} more configurations, templates or Python files in the folder"
        yield make_finding("sbom/unexamined", message, url=url, field="folder")


def _check_unseen(reason: str, url: str) -> Iterator[Finding]:
    """Report that nothing beside an artifact could be looked at."""
    if reason:
        message = (
            f"whether card, configurations, templates or signatures lie beside it is not known: "
            f"{reason}"
        )
        yield make_finding("sbom/folder-unseen", message, url=url, field="folder")


def places_of(artifact: Artifact) -> dict[str, Any]:
    """Return the fact ``read_from``: folders in which files really lie, behind links or redirects.

    Nothing where each file lies at its address. Of more than a hundred folders, the first ones and
    the empty text, which no policy allows.
    """
    real = {item.real for item in artifact.files if item.real}
    folders = sorted({place[: place.rfind("/") + 1] for place in real})
    if len(folders) > _MOST_PLACES:
        folders = [*folders[:_MOST_PLACES], ""]
    return {"read_from": folders} if folders else {}
