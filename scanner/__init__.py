"""A URL to an SBOM, findings and a verdict. Knows storage, knows no Prefect.

* ``storage`` and ``stores/``: list, look up, read a range of one version of an object.
* ``artifacts``: objects to artifacts; ``neighbours``: the files beside a model.
* ``examine``: what to ask for and what to make of it; ``scan``: the loop around it.
* ``facts``, ``packing``, ``document``: what a header states, and the SBOM made of it.
* ``templates``: a look at chat templates, which are never rendered.
* ``findings``, ``licenses``, ``policy``: what is wrong, and what that means here.
* ``results``, ``table``, ``outputs/``: what comes out; ``verify``: the line before a load.
* ``handoff``, ``supervise``: what an agent is handed, and how it runs; ``fork_server`` and
  ``supervisor``: the processes that end it.
* ``cli``: the command ``prefect-mutagen``.

Importing this imports neither prefect nor pyarrow nor fsspec: each is loaded where it is needed.
"""

from prefect_mutagen.scanner.document import Sbom
from prefect_mutagen.scanner.findings import Finding
from prefect_mutagen.scanner.policy import Policy, Verdict
from prefect_mutagen.scanner.results import ScanResult
from prefect_mutagen.scanner.scan import scan
from prefect_mutagen.scanner.storage import StorageError
from prefect_mutagen.scanner.verify import ArtifactRejected, verify

__all__ = [
    "ArtifactRejected",
    "Finding",
    "Policy",
    "Sbom",
    "ScanResult",
    "StorageError",
    "Verdict",
    "scan",
    "verify",
]
