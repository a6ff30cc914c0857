"""Messages for storage errors, with a remedy for the kind of storage."""

import os
import re
from types import MappingProxyType
from typing import Final

from prefect_mutagen.scanner.findings import CODES
from prefect_mutagen.scanner.listing.selection import NothingIncluded
from prefect_mutagen.scanner.storage.errors import StorageError

__all__ = ["complaint", "missing_package"]

_KINDS: Final = MappingProxyType(
    {
        **dict.fromkeys(("file", "local"), "local"),
        **dict.fromkeys(("s3", "s3a"), "s3"),
        **dict.fromkeys(("gs", "gcs"), "gs"),
        **dict.fromkeys(("az", "abfs", "abfss", "adl"), "az"),
        **dict.fromkeys(("http", "https"), "http"),
    }
)
_REMEDIES: Final = MappingProxyType(
    {
        ("storage/denied", "local"): "Give the user of this process permission to read it.",
        ("storage/denied", "s3"): "Allow the identity s3:ListBucket and s3:GetObject.",
        ("storage/denied", "gs"): "Give the identity the role Storage Object Viewer.",
        ("storage/denied", "az"): "Give the identity the role Storage Blob Data Reader.",
        ("storage/denied", ""): "Check the credentials, and what they may read.",
        ("storage/credentials", "s3"): "Check AWS_PROFILE, the AWS_ variables with the keys, or "
        "key and secret in the storage options.",
        ("storage/credentials", "gs"): "Check GOOGLE_APPLICATION_CREDENTIALS, or token in the "
        "storage options.",
        ("storage/credentials", "az"): "Check AZURE_STORAGE_ACCOUNT_KEY, or account_key or "
        "sas_token in the storage options.",
        ("storage/credentials", ""): "Check the credentials in the address or in the storage "
        "options.",
        ("storage/unreachable", "s3"): "Check the address, the network and endpoint_url in the "
        "storage options.",
        ("storage/unreachable", ""): "Check the address and the network.",
        # Objects below a root are listed; only the root is named by the user.
        ("storage/not-found", ""): "Check the address.",
        ("storage/unsupported", ""): "",  # the reason includes the remedy
    }
)
_EXTRAS: Final = MappingProxyType(
    {
        "pyarrow": ("a table needs pyarrow", "table"),
        **dict.fromkeys(
            ("aiobotocore", "botocore", "obstore", "s3fs"), ("buckets need obstore and s3fs", "s3")
        ),
        "rich": ("a table in a terminal needs rich", "query"),
    }
)
"""What the scanner alone does not require, and the extra that brings it."""
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def complaint(problem: StorageError, given: str = "") -> str:
    """Return the message for a storage error, with a remedy.

    Args:
        problem: The error.
        given: The address as given; owner/name may be a model on the hub.
    """
    if isinstance(problem, NothingIncluded):
        return str(problem)
    # If the first part is a local folder, the second is misspelt.
    named = _HUB_NAME.fullmatch(given) and not os.path.isdir(os.path.dirname(given))
    if named and problem.code == "storage/not-found" and problem.url == os.path.abspath(given):
        return f"{problem}; for the model on the Hugging Face hub write hf://{given}"
    kind = _KINDS.get(problem.url.partition("://")[0] if "://" in problem.url else "file", "")
    remedy = _REMEDIES.get((problem.code, kind))
    if remedy is None:
        remedy = _REMEDIES.get((problem.code, ""), CODES[problem.code].remedy)
    return f"{problem}. {remedy}" if remedy else str(problem)


def missing_package(problem: ModuleNotFoundError) -> str:
    """Return the message for a package that only some work needs: how it is installed.

    Args:
        problem: The failed import.

    Raises:
        ModuleNotFoundError: It is none of these: a broken installation, or a bug.
    """
    package = (problem.name or "").partition(".")[0]
    if package not in _EXTRAS:
        raise problem
    need, extra = _EXTRAS[package]
    return f"{need}, which is not installed: pip install 'prefect-mutagen-scanner[{extra}]'"
