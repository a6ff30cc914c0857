"""An artifact between its examination and its verdict."""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from prefect_mutagen.scanner.listing.artifacts import Artifact
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.signing.coverage import ArtifactFiles
from prefect_mutagen.scanner.signing.digests import SignatureFile
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Unjudged"]


@dataclass(slots=True)
class Unjudged:
    """An artifact that was examined, before its verdict."""

    artifact: Artifact
    """With its files as they were read."""
    result: ScanResult
    documents: Mapping[str, Any]
    """The JSON files of its model by path."""
    signatures: tuple[SignatureFile, ...]
    sha256: Mapping[str, str]
    """Digests of its files from any source, by address."""
    proven: Mapping[str, str]
    """Those that were computed from the bytes."""

    def with_parts(self, parts: Iterable[Self]) -> Self:
        """Return a pipeline with what is known of the files of its parts."""
        every = (*parts, self)
        signatures = {one.item.url: one for part in every for one in part.signatures}
        return replace(
            self,
            documents=dict(ChainMap(*(dict(part.documents) for part in reversed(every)))),
            signatures=tuple(signatures.values()),
            sha256=dict(ChainMap(*(dict(part.sha256) for part in reversed(every)))),
            proven=dict(ChainMap(*(dict(part.proven) for part in reversed(every)))),
        )

    def files(
        self, artifact: Artifact, taken: Mapping[str, tuple[StoredObject, ...]]
    ) -> ArtifactFiles:
        """Return what signatures are held against.

        Args:
            artifact: The artifact, with all that was read for it.
            taken: What each loader takes besides the weights.
        """
        everyone = (artifact, *artifact.parts)
        indexes = [one.shard_index for one in everyone if one.shard_index is not None]
        neighbours = [item for one in everyone for item in one.beside.neighbours]
        beside = tuple(dict.fromkeys((*indexes, *neighbours)))
        return ArtifactFiles(artifact.objects, beside, taken, self.sha256, self.proven)
