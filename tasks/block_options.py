"""Convert loaded blocks to the options of fsspec's file systems, and to addresses.

Blocks are told apart by their fields, so that no package of their types has to be installed here:

* ``settings``, such as those of Prefect's own ``RemoteFileSystem``: these are fsspec options;
* credentials of prefect-aws, -gcp and -azure: converted to options of s3fs, gcsfs and adlfs, which
  the extra ``fast`` understands, too;
* buckets and containers: the credentials inside.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from prefect.blocks.core import Block

__all__ = ["PLACES", "address_of", "options_of"]

PLACES: Final = frozenset(
    {
        *("remote-file-system", "local-file-system", "s3-bucket", "gcs-bucket"),
        "azure-blob-storage-container",
    }
)
"""Types of blocks that hold an address."""
_INNER: Final = ("credentials", "aws_credentials", "minio_credentials", "gcp_credentials")
_AZURE: Final = ".blob.core.windows.net"
_PLAIN: Final = {
    "DefaultEndpointsProtocol": "",
    "EndpointSuffix": "",
    "AccountName": "account_name",
    "AccountKey": "account_key",
    "SharedAccessSignature": "sas_token",
}
"""Parts of a connection string that are options of their own."""


def options_of(block: Any) -> dict[str, Any] | None:
    """Return the fsspec options of a block; None if it is not supported."""
    settings = getattr(block, "settings", None)
    if isinstance(settings, Mapping):
        return {key: _reveal(value) for key, value in settings.items()}
    for inner in _INNER:
        if getattr(block, inner, None) is not None:
            return options_of(getattr(block, inner))
    if isinstance(block, Block) and block.get_block_type_slug() == "local-file-system":
        return {}
    if hasattr(block, "aws_access_key_id") or hasattr(block, "minio_root_user"):
        return _s3_options(block)
    if hasattr(block, "service_account_info"):
        return _google_options(block)
    if hasattr(block, "connection_string") and hasattr(block, "account_url"):
        return _azure_options(block)
    return None


def address_of(block: Any) -> str:
    """Return the address that a block holds; empty if it holds none."""
    if getattr(block, "basepath", None) and hasattr(block, "settings"):
        return str(block.basepath)
    for scheme, bucket, folder in (
        ("s3", "bucket_name", "bucket_folder"),
        ("gs", "bucket", "bucket_folder"),
        ("az", "container_name", "base_folder"),
    ):
        if getattr(block, bucket, None):
            below = (getattr(block, folder, None) or "").strip("/")
            return f"{scheme}://{getattr(block, bucket)}" + (f"/{below}" if below else "")
    return str(getattr(block, "basepath", None) or "")


def _s3_options(block: Any) -> dict[str, Any]:
    pairs = {
        "key": ("aws_access_key_id", "minio_root_user"),
        "secret": ("aws_secret_access_key", "minio_root_password"),
        "token": ("aws_session_token",),
        "profile": ("profile_name",),
    }
    options: dict[str, Any] = {}
    for option, names in pairs.items():
        for name in names:
            value = _reveal(getattr(block, name, None))
            if value:
                options[option] = value
    client: dict[str, Any] = {}
    if getattr(block, "region_name", None):
        client["region_name"] = block.region_name
    parameters = getattr(block, "aws_client_parameters", None)
    for name in ("endpoint_url", "use_ssl", "verify"):
        value = getattr(parameters, name, None)
        if value is not None:
            client[name] = value
    if client:
        options["client_kwargs"] = client
    return options


def _google_options(block: Any) -> dict[str, Any]:
    """Return options of gcsfs; without an account those of the environment count."""
    account = _reveal(block.service_account_info) or getattr(block, "service_account_file", None)
    options: dict[str, Any] = {}
    if account:
        options["token"] = dict(account) if isinstance(account, Mapping) else str(account)
    if getattr(block, "project", None):
        options["project"] = block.project
    return options


def _azure_options(block: Any) -> dict[str, Any]:
    """Return options of adlfs."""
    connection = _reveal(block.connection_string)
    if connection:
        return _of_connection(connection)
    options: dict[str, Any] = {}
    for name in ("client_id", "tenant_id", "client_secret"):
        value = _reveal(getattr(block, name, None))
        if value:
            options[name] = value
    if not options:
        options["anon"] = False  # without it, adlfs reads nothing of the environment
    host = urlsplit(block.account_url or "").netloc
    if host:
        options["account_name"] = host.partition(".")[0]
    if host and not host.endswith(_AZURE):
        options["account_host"] = host
    return options


def _of_connection(text: str) -> dict[str, Any]:
    """Return the parts of a connection string, or all of it where an endpoint is named."""
    parts = dict(part.partition("=")[::2] for part in text.split(";") if part)
    is_plain = (
        parts.keys() <= _PLAIN.keys()
        and parts.get("DefaultEndpointsProtocol", "https") == "https"
        and parts.get("EndpointSuffix", "core.windows.net") == "core.windows.net"
    )
    if not is_plain:
        return {"connection_string": text}
    return {_PLAIN[name]: value for name, value in parts.items() if _PLAIN[name]}


def _reveal(value: Any) -> Any:
    revealed = getattr(value, "get_secret_value", None)  # of texts, and of dictionaries
    return revealed() if callable(revealed) else value
