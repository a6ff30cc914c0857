"""What passed in an earlier state of a root."""

from array import array
from bisect import bisect_left

import pyarrow.compute as pc

from prefect_mutagen.scanner.table.address_index import sort_hashes
from prefect_mutagen.scanner.table.runs import KEY, texts
from prefect_mutagen.scanner.table.state import State

__all__ = ["PassedBefore"]


class PassedBefore:
    """The artifacts that passed in a state, with their pins: 8 bytes in memory for each."""

    def __init__(self, state: State) -> None:
        """Read a state.

        Args:
            state: An earlier state of the root.
        """
        codes = array("q")
        for number, _, _ in state.file.groups():
            rows = state.file.read(number, [KEY, "pin", "status", "drift"])
            removed = pc.equal(rows["drift"], "removed")
            rows = rows.filter(pc.and_not(pc.equal(rows["status"], "passed"), removed))
            codes.extend(map(hash, zip(texts(rows, KEY), texts(rows, "pin"), strict=True)))
        self._codes, _ = sort_hashes(codes)  # no number of them as an object

    def has(self, url: str, pin: str) -> bool:
        """Whether an artifact passed with these bytes.

        Args:
            url: Its address as the table has it.
            pin: Its pin.
        """
        code = hash((url, pin))
        place = bisect_left(self._codes, code)
        return place < len(self._codes) and self._codes[place] == code
