"""A URL to an SBOM, findings and a verdict. Knows storage, knows no Prefect.

Its parts, from the bottom up; each imports only those before it:

* ``findings``, ``verdicts``, ``pins``, ``results``: codes and remedies, the records of a scan;
  ``internal_errors``: logging of bugs; ``shutdown``: signal handling of the command.
* ``storage/``: addresses, listings, ranged reads of one version of an object, retries, hashing.
* ``content/``: what the small files beside a model say, read under limits.
* ``listing/``: a root to artifacts: roles, selection, inventories, grouping.
* ``sbom/``: facts with their sources to the 20-field document.
* ``signing/``: signatures beside a model, what they name, and who made them.
* ``policy/``: fields, judging, waivers, lineage, publishers.
* ``examine/``: an artifact to its result: the machine without I/O and its engines.
* ``table/``: the Parquet table: schema, rows, state, recording, retention.
* ``scan``, ``verify``: the doors.
* ``agents/``: verified open, handoff, supervision, the record of starts.
* ``outputs/``: a file per format; ``commands/``: a file per command.

Importing this imports neither prefect nor pyarrow nor fsspec: each is loaded where it is needed.
"""

from prefect_mutagen.scanner.agents.verified_file import VerifiedFile, open_verified
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.policy.policy import Policy
from prefect_mutagen.scanner.results import Sbom, ScanResult
from prefect_mutagen.scanner.scan import scan
from prefect_mutagen.scanner.storage.errors import StorageError
from prefect_mutagen.scanner.verdicts import Verdict
from prefect_mutagen.scanner.verify import ArtifactRejected, verify

__all__ = [
    "ArtifactRejected",
    "Finding",
    "Policy",
    "Sbom",
    "ScanResult",
    "StorageError",
    "Verdict",
    "VerifiedFile",
    "open_verified",
    "scan",
    "verify",
]
