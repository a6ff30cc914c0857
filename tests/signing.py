"""Write signatures and attestations of the known formats; the signatures in them are made up."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

OMS = "https://model_signing/signature/v1.0"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def envelope(statement: Any, **changes: Any) -> dict[str, Any]:
    """Wrap a statement as DSSE does."""
    text = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    return {
        "payload": base64.b64encode(text).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "bWFkZSB1cA==", "keyid": ""}],
    } | changes


def bundle(statement: Any, **changes: Any) -> bytes:
    """Wrap a statement as sigstore does."""
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "made up"}, "tlogEntries": []},
            "dsseEnvelope": envelope(statement, **changes),
        }
    ).encode()


def attestation(digests: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    """State something about files: an in-toto statement with one subject for each."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    } | changes


def oms(
    digests: Mapping[str, str], model: str = "model", algorithm: str = "sha256"
) -> dict[str, Any]:
    """State the digests of a model's files as OpenSSF Model Signing does."""
    total = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests.values()))
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": model, "digest": {"sha256": total.hexdigest()}}],
        "predicateType": OMS,
        "predicate": {
            "serialization": {"method": "files", "hash_type": algorithm},
            "resources": [
                {"name": name, "algorithm": algorithm, "digest": digest}
                for name, digest in digests.items()
            ],
        },
    }


def message(digest: str) -> bytes:
    """Sign one file as ``cosign sign-blob --bundle`` does."""
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "messageSignature": {
                "messageDigest": {
                    "algorithm": "SHA2_256",
                    "digest": base64.b64encode(bytes.fromhex(digest)).decode(),
                },
                "signature": "bWFkZSB1cA==",
            },
        }
    ).encode()
