"""Count what a listing yields, and what is examined of it, for the census of a scan."""

from urllib.parse import unquote

from prefect_mutagen.scanner.census import Census, Role
from prefect_mutagen.scanner.content.oci import is_of_layout
from prefect_mutagen.scanner.content.ollama import is_of_store
from prefect_mutagen.scanner.listing.artifacts import Artifact, Beside
from prefect_mutagen.scanner.listing.known_kinds import is_known
from prefect_mutagen.scanner.listing.roles import role_of
from prefect_mutagen.scanner.listing.unnamed import Looked, Unnamed, says_nothing
from prefect_mutagen.scanner.storage.store import StoredObject

__all__ = ["Counting"]


class Counting:
    """The census of one listing while it goes on.

    Attributes:
        looked: Files that were looked into because their names say nothing.
    """

    def __init__(
        self, root: str, census: Census | None = None, looked: Looked | None = None
    ) -> None:
        """Start counting.

        Args:
            root: Address that is listed. A web server is asked whether it is a file.
            census: Where objects are counted, those that are examined as such.
            looked: Files that earlier scans looked into because their names say nothing.
        """
        self._root = unquote(root)
        self._census = Census() if census is None else census
        self.looked = Looked() if looked is None else looked
        self._last: Beside | None = None

    def wanted(self, path: str, size: int) -> bool:
        """Count a listed file, and return whether it is needed to form artifacts; see `Wanted`."""
        role = role_of(path.rpartition("/")[2])
        if path == self._root:
            return role != "other" or is_of_store(path) or is_of_layout(path)
        if role != "other":
            self._census.count(role, "named", size)
            return True
        if says_nothing(path, size):
            return True  # counted once it was looked into
        self._census.count(role, "named" if is_known(path) else "not-understood", size)
        return is_of_store(path) or is_of_layout(path)

    def count_root(self, item: StoredObject) -> None:
        """Count a root that is one object."""
        role = role_of(item.name)
        understood = role != "other" or is_known(item.url)
        self._census.count(role, "named" if understood else "not-understood", item.size)

    def count_unnamed(self, unnamed: Unnamed) -> None:
        """Count the files that were looked into because their names say nothing."""
        (models, size), (others, rest) = unnamed.models, unnamed.others
        if models:
            self._census.count("weights", "examined", size, models)
        if others:
            self._census.count("other", "not-understood", rest, others)
        self.looked.found = unnamed.found

    def examined(self, artifact: Artifact) -> None:
        """Count the files of an artifact that is given to examination."""
        for item in artifact.objects:
            self._examine(item)
        for one in (artifact, *artifact.parts):
            if one.beside is not self._last:  # artifacts of a folder share it
                self._last = one.beside
                for item in (*one.describing, *one.beside.code, *one.beside.pickles.items):
                    self._examine(item)

    def _examine(self, item: StoredObject) -> None:
        role: Role = role_of(item.name)
        counted = role == "other" and says_nothing(item.url, item.size)
        if item.fault is None and role != "other-weights" and not counted:
            self._census.examine(role, item.url, item.size)
