"""Translate storage options of fsspec's file systems into obstore's.

An option without a translation is not an error: fsspec is used instead. Credentials that are not in
the options come from botocore's credential chain (environment, profiles, single sign-on, roles,
instance metadata), as in s3fs, so both engines act as the same user.
"""

import base64
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from obstore.store import AzureStore, GCSStore, S3Store

from prefect_mutagen import __version__
from prefect_mutagen.scanner.storage.address import ACCOUNT_VARIABLE

__all__ = ["make_obstore"]

_NO_RETRIES: Final = {"max_retries": 0}
_TIMEOUTS: Final = {
    "connect_timeout": "10s",
    "read_timeout": "30s",
    "timeout": "120s",
    "user_agent": f"prefect-mutagen/{__version__} object_store",
}
_ACCOUNT_KEYS: Final = frozenset({"private_key", "private_key_id", "client_email"})
"""What obstore needs of a service account of Google's."""
_FRESH: Final = timedelta(minutes=5)
_MEANINGLESS: Final = frozenset(
    {
        *("default_block_size", "default_fill_cache", "default_cache_type", "use_listings_cache"),
        *("listings_expiry_time", "max_paths", "skip_instance_cache", "asynchronous"),
        *("max_concurrency", "fixed_upload_size", "local_expiry_check"),
    }
)
_FILE_KEYS: Final = frozenset(
    {
        *("endpoint_url", "services", "s3", "ca_bundle", "use_fips_endpoint", "signature_version"),
        *("use_dualstack_endpoint", "s3_use_arn_region", "s3_disable_multiregion_access_points"),
    }
)
_VARIABLES: Final = (
    *("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"),
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
_BUNDLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


class _NoTranslation(Exception):  # noqa: N818 - not an error: fsspec is used
    """Obstore has no equivalent of an option."""


def make_obstore(scheme: str, bucket: str, options: Mapping[str, Any]) -> Any:
    """Return obstore's store for a bucket.

    Args:
        scheme: ``s3``, ``gs`` or ``az``.
        bucket: Name of the bucket or container.
        options: Options of `s3fs.S3FileSystem`, or of fsspec's file system for the others.

    Returns:
        The store; None if an option has no translation.
    """
    make = {"s3": _make_s3, "gs": _make_gs, "az": _make_az}[scheme]
    try:
        return make(bucket, {name: value for name, value in options.items() if value is not None})
    except _NoTranslation:
        return None


def _checked(options: Mapping[str, Any], **known: type | tuple[type, ...]) -> dict[str, Any]:
    """Return options whose names and types are known; raise `_NoTranslation` for others."""
    for name, value in options.items():
        if name not in _MEANINGLESS and not isinstance(value, known.get(name, ())):
            raise _NoTranslation
    return dict(options)


def _make_s3(bucket: str, options: Mapping[str, Any]) -> Any:
    if ":" in bucket or any(name in os.environ for name in _VARIABLES):
        raise _NoTranslation  # an access point's ARN; settings that only botocore supports
    given = _checked(
        options,
        **dict.fromkeys(("key", "secret", "token", "username", "password"), str),
        **dict.fromkeys(("anon", "requester_pays", "use_ssl"), bool),
        **dict.fromkeys(("client_kwargs", "config_kwargs", "s3_additional_kwargs"), dict),
        endpoint_url=str,
        profile=str,
    )
    inner = _checked(
        given.get("client_kwargs", {}), endpoint_url=str, region_name=str, verify=(bool, str)
    )
    endpoint = given.get("endpoint_url") or inner.get("endpoint_url") or _endpoint_of_environment()
    region, provider = _from_botocore(given)
    config: dict[str, Any] = {
        "region": inner.get("region_name") or region or "us-east-1",
        "skip_signature": bool(given.get("anon")),
        "request_payer": bool(given.get("requester_pays")),
        "virtual_hosted_style_request": False,
    }
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    elif not given.get("use_ssl", True):
        raise _NoTranslation
    config.update(_customer_key(given.get("s3_additional_kwargs", {})))
    client = _client_options(given.get("config_kwargs", {}), endpoint)
    if not client["allow_http"]:
        client.update(_tls_options(inner.get("verify")))
    return S3Store(
        bucket,
        config=config,  # type: ignore[arg-type] # built step by step
        client_options=client,  # type: ignore[arg-type] # likewise
        retry_config=_NO_RETRIES,  # type: ignore[arg-type] # likewise
        credential_provider=provider,
    )


def _endpoint_of_environment() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _from_botocore(given: Mapping[str, Any]) -> tuple[str, Callable[[], Any] | None]:
    """Return the region and the credentials that botocore would use."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session(profile=given.get("profile"))
        if _FILE_KEYS & session.get_scoped_config().keys():
            raise _NoTranslation
        region = session.get_config_variable("region") or ""
        if given.get("anon"):
            return region, None
        key = given.get("key") or given.get("username")
        secret = given.get("secret") or given.get("password")
        if key and secret:
            named = {
                "access_key_id": key,
                "secret_access_key": secret,
                "token": given.get("token"),
                "expires_at": None,
            }
            return region, lambda: named
        credentials = None if key or secret else session.get_credentials()
    except BotoCoreError:
        raise _NoTranslation from None
    if credentials is None:
        raise _NoTranslation  # s3fs reports what is missing

    def provide() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _FRESH,
        }

    return region, provide


def _customer_key(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a customer-provided key (SSE-C) as botocore does: raw, or with its MD5."""
    given = _checked(
        extra,
        SSECustomerAlgorithm=str,
        SSECustomerKey=(str, bytes),
        SSECustomerKeyMD5=str,
        RequestPayer=str,
    )
    if "RequestPayer" in given:
        raise _NoTranslation
    if "SSECustomerKey" not in given:
        return {}
    key = given["SSECustomerKey"]
    raw = key.encode() if isinstance(key, str) else key
    if "SSECustomerKeyMD5" not in given:
        raw = base64.b64encode(raw)
    return {"server_side_encryption": "sse-c", "sse_customer_key_base64": raw.decode("latin-1")}


def _client_options(config: Mapping[str, Any], endpoint: str) -> dict[str, Any]:
    given = _checked(
        config,
        connect_timeout=(int, float),
        read_timeout=(int, float),
        proxies=dict,
        signature_version=str,
        s3=dict,
        retries=dict,
        max_pool_connections=int,
    )
    if given.get("signature_version", "s3v4") != "s3v4":
        raise _NoTranslation
    if given.get("s3", {}) not in ({}, {"addressing_style": "path"}, {"addressing_style": "auto"}):
        raise _NoTranslation
    client: dict[str, Any] = dict(_TIMEOUTS)
    for name in ("connect_timeout", "read_timeout"):
        if name in given:
            client[name] = timedelta(seconds=given[name])
    scheme = "http" if endpoint.startswith("http://") else "https"
    client["allow_http"] = scheme == "http"
    proxy = given.get("proxies", {}).get(scheme)
    if proxy:
        client["proxy_url"] = str(proxy)
    return client


def _tls_options(verify: bool | str | None) -> dict[str, Any]:  # noqa: FBT001 - botocore's option
    """Return TLS options from botocore's ``verify``, or from variables that name a CA bundle."""
    if verify is False:
        return {"allow_invalid_certificates": True}
    named = verify if isinstance(verify, str) else ""
    path = named or next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), "")
    if not path:
        return {}
    try:
        with open(path, "rb") as file:
            return {"root_certificate": file.read()}
    except OSError:
        raise _NoTranslation from None  # it may be a directory


def _make_gs(bucket: str, options: Mapping[str, Any]) -> Any:
    given = _checked(options, token=(str, dict), project=str, endpoint_url=str)
    config: dict[str, Any] = {}
    token = given.get("token", "google_default")
    if isinstance(token, dict):
        if token.get("type") != "service_account" or not token.keys() >= _ACCOUNT_KEYS:
            raise _NoTranslation
        config["service_account_key"] = json.dumps(token)
    elif token == "anon":  # noqa: S105 - gcsfs's value for anonymous access
        config["skip_signature"] = True
    elif os.path.isfile(token):
        config["application_credentials"] = token
    elif token not in ("google_default", "cloud"):
        raise _NoTranslation
    client: dict[str, Any] = dict(_TIMEOUTS)
    if "endpoint_url" in given:
        config["base_url"] = given["endpoint_url"].rstrip("/")
        client["allow_http"] = config["base_url"].startswith("http://")
    return GCSStore(bucket, config=config, client_options=client, retry_config=_NO_RETRIES)  # type: ignore[arg-type] # built step by step


def _make_az(bucket: str, options: Mapping[str, Any]) -> Any:
    names = {
        "account_name": "account_name",
        "account_key": "account_key",
        "sas_token": "sas_key",
        "client_id": "client_id",
        "client_secret": "client_secret",
        "tenant_id": "tenant_id",
        "account_host": "endpoint",
    }
    given = _checked(options, **dict.fromkeys(names, str), anon=bool)
    if not given.get("account_name") and not os.environ.get(ACCOUNT_VARIABLE):
        raise _NoTranslation
    config: dict[str, Any] = {names[name]: given[name] for name in names if name in given}
    if "endpoint" in config and "://" not in config["endpoint"]:
        config["endpoint"] = f"https://{config['endpoint']}"
    config["skip_signature"] = bool(given.get("anon"))
    client = dict(_TIMEOUTS) | {"allow_http": config.get("endpoint", "").startswith("http://")}
    return AzureStore(bucket, config=config, client_options=client, retry_config=_NO_RETRIES)  # type: ignore[arg-type] # likewise
