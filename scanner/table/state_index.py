"""Find the row of an address in a state, and tell whether it still holds.

In memory are a pin, flags and a hash for each address: 45 bytes an artifact.
"""

from array import array
from enum import IntFlag
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_mutagen import __version__
from prefect_mutagen.scanner.storage.address import VERSION_MARK, storable
from prefect_mutagen.scanner.table.marks import Mark
from prefect_mutagen.scanner.table.places import Places
from prefect_mutagen.scanner.table.runs import KEY
from prefect_mutagen.scanner.table.state_file import StateFile

__all__ = ["Flag", "StateIndex"]

_PIN: Final = r"^sha256:[0-9a-fA-F]{64}$"
_PIN_START: Final = len("sha256:")
_PIN_BYTES: Final = 32
_NO_DIGEST: Final = bytes(_PIN_BYTES).hex()


class Flag(IntFlag):
    """What a row of a state can be taken over for."""

    EXAMINED = 1
    """Its artifact was examined by this version of the tool and has a pin."""
    HASHED = 2
    """All its bytes were hashed."""


class StateIndex:
    """Rows by address.

    Attributes:
        all_passed: Whether every artifact had passed.
        versions: Rows of older versions of objects.
    """

    def __init__(self, file: StateFile) -> None:
        """Read the columns that are needed to find rows and to compare them."""
        self.all_passed = True
        self.versions = array("I")
        self._places = Places()
        self._pins = bytearray()
        self._flags = bytearray()
        self._marks = bytearray()
        for number, start, _ in file.groups():
            self._add(file, number, start)

    def _add(self, file: StateFile, number: int, start: int) -> None:
        columns = [KEY, "pin", "drift", "status", "tool_version", "sha256_source"]
        rows = file.read(number, columns)
        there = pc.not_equal(rows["drift"], "removed")
        # Who has no pin is always examined, and the zeros in its place are nobody's digest.
        pinned = pc.fill_null(pc.match_substring_regex(rows["pin"], _PIN), fill_value=False)
        digests = pc.if_else(pinned, pc.utf8_slice_codeunits(rows["pin"], _PIN_START), _NO_DIGEST)
        self._pins += bytes.fromhex("".join(digests.to_pylist()))
        confirmed = pc.and_(
            pc.not_equal(rows["status"], "unknown"), pc.equal(rows["tool_version"], __version__)
        )
        examined = pc.and_(pinned, confirmed)
        hashed = pc.fill_null(pc.equal(rows["sha256_source"], "computed"), fill_value=False)
        flags = pc.add(
            pc.cast(examined, pa.uint8()), pc.multiply(pc.cast(hashed, pa.uint8()), Flag.HASHED)
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
        for place, twin in self._places.extend(addresses):
            # Two odd names may look alike as text. Neither is taken for the other.
            self._flags[twin] = self._flags[place] = 0
            self._marks[place] = Mark.REPLACED

    def __len__(self) -> int:
        """Return the number of artifacts."""
        return len(self._places)

    def find(self, url: str) -> int | None:
        """Return the place of an address; by a rare chance that of another one."""
        return self._places.find(storable(url))

    def has(self, place: int, digest: bytes, flags: Flag) -> bool:
        """Whether a row has a pin, and all of some flags.

        Args:
            place: Of the row.
            digest: 32 bytes of an artifact's pin; empty when there is none.
            flags: What is wanted.
        """
        if self._flags[place] & flags != flags:
            return False
        return bool(digest) and self._pins.startswith(digest, place * _PIN_BYTES)

    def fresh_marks(self) -> bytearray:
        """Return the marks that a scan begins with."""
        return bytearray(self._marks)
