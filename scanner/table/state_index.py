"""Index of a state: find rows by address and check whether they are current.

Holds a pin, flags and a hash for each address in memory: 45 bytes per artifact.
"""

from array import array
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen import __version__
from prefect_mutagen.scanner.policy.fields import NAMED_FORMATS
from prefect_mutagen.scanner.storage.address import VERSION_MARK
from prefect_mutagen.scanner.storage.names import storable
from prefect_mutagen.scanner.table.address_index import AddressIndex
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.runs import KEY
from prefect_mutagen.scanner.table.state_file import StateFile

__all__ = ["EXAMINED", "HASHED", "StateIndex"]

_PIN: Final = r"^sha256:[0-9a-fA-F]{64}$"
_PIN_START: Final = len("sha256:")
_PIN_BYTES: Final = 32
_NO_DIGEST: Final = bytes(_PIN_BYTES).hex()


# Properties of a row that decide whether it can be carried over. They are plain numbers: an enum's
# operators take as long as the lookup of an unchanged artifact.
EXAMINED: Final = 1
"""The artifact was examined by this version of the tool and has a pin."""
HASHED: Final = 2
"""All its bytes were hashed."""


class StateIndex:
    """The rows of a state by address.

    Attributes:
        all_passed: Whether every artifact passed.
        versions: Rows of older versions of objects.
    """

    def __init__(self, file: StateFile) -> None:
        """Read the columns needed to find and compare rows."""
        self.all_passed = True
        self.versions = array("I")
        self._addresses = AddressIndex()
        self._pins = bytearray()
        self._flags = bytearray()
        self._marks = bytearray()
        for number, start, _ in file.groups():
            self._add(file, number, start)

    def _add(self, file: StateFile, number: int, start: int) -> None:
        columns = [KEY, "pin", "drift", "status", "tool_version", "sha256_source", "format"]
        rows = file.read(number, columns)
        there = pc.not_equal(rows["drift"], "removed")
        # Artifacts without a pin are always examined; their zero digest never matches.
        pinned = pc.fill_null(pc.match_substring_regex(rows["pin"], _PIN), fill_value=False)
        digests = pc.if_else(pinned, pc.utf8_slice_codeunits(rows["pin"], _PIN_START), _NO_DIGEST)
        self._pins += bytes.fromhex("".join(digests.to_pylist()))
        # More than their format is not known of some weights, and never will be.
        named = pc.is_in(rows["format"], pa.array(NAMED_FORMATS))
        settled = pc.or_(pc.not_equal(rows["status"], "unknown"), named)
        confirmed = pc.and_(settled, pc.equal(rows["tool_version"], __version__))
        examined = pc.and_(pinned, confirmed)
        hashed = pc.fill_null(pc.equal(rows["sha256_source"], "computed"), fill_value=False)
        flags = pc.add(
            pc.cast(examined, pa.uint8()), pc.multiply(pc.cast(hashed, pa.uint8()), HASHED)
        )
        self._flags += bytes(flags.to_pylist())
        passed = pc.or_(pc.equal(rows["status"], "passed"), pc.invert(there))
        self.all_passed = self.all_passed and pc.all(passed, min_count=0).as_py()
        self._marks += bytes(pc.if_else(there, Mark.MISSING, Mark.REPLACED).to_pylist())
        versions = pc.and_(
            pc.starts_with(rows[KEY], "s3"), pc.match_substring(rows[KEY], VERSION_MARK)
        )
        known = pc.indices_nonzero(pc.and_(versions, there)).to_pylist()
        self.versions.extend(start + within for within in known)
        addresses = pc.if_else(there, rows[KEY], pa.scalar(None, pa.string())).to_pylist()
        for place, other in self._addresses.extend(addresses):
            # Two undecodable names may have the same text; examine both again.
            self._flags[other] = self._flags[place] = 0
            self._marks[place] = Mark.REPLACED

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return len(self._addresses)

    def find(self, url: str) -> int | None:
        """Return the position of an address; hashes can collide."""
        return self._addresses.find(storable(url))

    def has(self, place: int, digest: bytes, flags: int) -> bool:
        """Whether a row has a pin and all given properties.

        Args:
            place: Position of the row.
            digest: The 32 bytes of an artifact's pin; empty if there is none.
            flags: The required properties.
        """
        if self._flags[place] & flags != flags:
            return False
        return bool(digest) and self._pins.startswith(digest, place * _PIN_BYTES)

    def is_hashed(self, place: int) -> bool:
        """Whether all bytes of a row's artifact were hashed."""
        return bool(self._flags[place] & HASHED)

    def fresh_marks(self) -> bytearray:
        """Return the initial marks of a scan."""
        return bytearray(self._marks)
