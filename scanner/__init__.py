"""A URL to an SBOM, findings and a verdict. Knows storage, knows no Prefect.

* ``storage`` and ``stores/``: list, look up, read a range of one version of an object;
  ``storage_options``.
* ``artifacts``: objects to artifacts; ``selection``: which of them; ``listing``: both together;
  ``inventory``: a listing by S3.
* ``neighbours``, ``shard_index``: the files beside a model; ``sets``, ``set_totals``: shards.
* ``examine``, ``read_objects``, ``request``, ``hashing``: what to ask for and what to make of it;
  ``scan``, ``remote``, ``processes``: the loops around it.
* ``facts``, ``packing``, ``document``: what a header states, and the SBOM made of it.
* ``templates``: a look at chat templates, which are never rendered.
* ``findings``, ``licenses``, ``lineage``, ``publishers``: what is wrong, and who says what.
* ``signing/``: signatures beside a model, what they name, and who made them.
* ``policy`` (``policy_fields``, ``judge``, ``waivers``, ``verdicts``): what that means here.
* ``results``, ``drift``, ``outputs/``: what comes out.
* ``verify``, ``verified_file``: the line before a load.
* ``table`` and ``tables/``: the Parquet table; ``manifest``: a listing in a file.
* ``start_record``: which agents were started.
* ``handoff``, ``supervise``: what an agent is handed, and how it runs; ``fork_server`` and
  ``supervisor``: the processes that end it.
* ``worker``: what ``processes`` starts; ``shutdown``: how signals end a command.
* ``cli`` and ``commands/``: the command ``prefect-mutagen``.

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
