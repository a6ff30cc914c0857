"""A Sigstore of our own: an authority, a log of certificates and a log of signatures in one.

It issues real certificates with real timestamps, and writes real log entries; nothing is reached
over a network. Formats: RFC 6962 for the log of certificates and for the tree of the other one,
RFC 8785 for what its promise is made over, and version 0.3 of the sigstore bundle.
"""

import base64
import hashlib
import json
import struct
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certificates import IN_TOTO, NOW, Authority, base64_of, pae, sign

ISSUER = "https://accounts.example.org"
IDENTITY = "release@example.org"
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_CURVE = ec.SECP256R1()


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


class Sigstore:
    """One instance."""

    def __init__(self) -> None:
        self.authority = Authority("fulcio", start=NOW - timedelta(days=30))
        self.certificate_log = ec.generate_private_key(_CURVE)
        self.signature_log = ec.generate_private_key(_CURVE)

    def trusted_root(self) -> str:
        """Give what a policy names."""
        start = {"start": "2021-01-01T00:00:00Z"}
        der = self.authority.certificate.public_bytes(Encoding.DER)
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [_log("https://rekor.invalid", self.signature_log, start)],
                "ctlogs": [_log("https://ctfe.invalid", self.certificate_log, start)],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "example", "commonName": "fulcio"},
                        "uri": "https://fulcio.invalid",
                        "certChain": {"certificates": [{"rawBytes": base64_of(der)}]},
                        "validFor": start,
                    }
                ],
                "timestampAuthorities": [],
            }
        )

    def sign(
        self,
        statement: Any,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        logged: datetime = NOW,
    ) -> bytes:
        """Sign a statement under an identity."""
        key = ec.generate_private_key(_CURVE)
        certificate = self._issue(key, identity, issuer)
        payload = json.dumps(statement).encode()
        signature = base64_of(sign(key, pae(payload)))
        pem = base64_of(certificate.public_bytes(Encoding.PEM))
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
            "payloadHash": {
                "algorithm": "sha256",
                "value": hashlib.sha256(payload).hexdigest(),
            },
            "signatures": [{"signature": signature, "verifier": pem}],
        }
        envelope = {
            "payload": base64_of(payload),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": signature}],
        }
        material = self._material(certificate, "dsse", spec, logged)
        return _bundle(material, {"dsseEnvelope": envelope})

    def sign_file(self, digest: str, identity: str = IDENTITY, issuer: str = ISSUER) -> bytes:
        """Sign one file, by its SHA-256, under an identity."""
        key = ec.generate_private_key(_CURVE)
        certificate = self._issue(key, identity, issuer)
        raw = bytes.fromhex(digest)
        signature = base64_of(key.sign(raw, ec.ECDSA(utils.Prehashed(SHA256()))))
        pem = base64_of(certificate.public_bytes(Encoding.PEM))
        spec = {
            "data": {"hash": {"algorithm": "sha256", "value": digest}},
            "signature": {"content": signature, "publicKey": {"content": pem}},
        }
        message = {
            "messageDigest": {"algorithm": "SHA2_256", "digest": base64_of(raw)},
            "signature": signature,
        }
        material = self._material(certificate, "hashedrekord", spec, NOW)
        return _bundle(material, {"messageSignature": message})

    def _issue(
        self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str
    ) -> x509.Certificate:
        """Issue a certificate for ten minutes, with the promise that it is in the log."""
        serial = x509.random_serial_number()
        usual: dict[str, Any] = {
            "start": NOW - timedelta(minutes=5),
            "end": NOW + timedelta(minutes=5),
            "serial": serial,
        }
        extensions = (
            x509.SubjectAlternativeName([x509.RFC822Name(identity)]),
            x509.UnrecognizedExtension(_ISSUER_OID, issuer.encode()),
        )
        before = self.authority.issue("signer", key, extensions=extensions, **usual)
        tbs = before.tbs_certificate_bytes
        at = int(NOW.timestamp() * 1000)
        entry = _key_id(self.authority.key) + struct.pack("!I", len(tbs))[1:] + tbs
        signed = struct.pack("!BBQH", 0, 0, at, 1) + entry + struct.pack("!H", 0)
        signature = sign(self.certificate_log, signed)
        stamp = b"\0" + _key_id(self.certificate_log) + struct.pack("!QH", at, 0)
        stamp += struct.pack("!BBH", 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(stamp) + 2, len(stamp)) + stamp
        length = bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])
        stamped = x509.UnrecognizedExtension(_SCT_OID, b"\x04" + length + listed)
        return self.authority.issue("signer", key, extensions=(*extensions, stamped), **usual)

    def _material(
        self, certificate: x509.Certificate, kind: str, spec: Any, logged: datetime
    ) -> dict[str, Any]:
        """Enter a signature into the log, as its only entry."""
        body = _canonical({"apiVersion": "0.0.1", "kind": kind, "spec": spec})
        root = hashlib.sha256(b"\0" + body).digest()
        log = _key_id(self.signature_log)
        note = f"rekor.invalid\n1\n{base64_of(root)}\n"
        mark = base64_of(log[:4] + sign(self.signature_log, note.encode()))
        at = int(logged.timestamp())
        promised = {
            "body": base64_of(body),
            "integratedTime": at,
            "logID": log.hex(),
            "logIndex": 0,
        }
        promise = base64_of(sign(self.signature_log, _canonical(promised)))
        entry = {
            "logIndex": "0",
            "logId": {"keyId": base64_of(log)},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": promise},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": base64_of(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 rekor.invalid {mark}\n"},
            },
            "canonicalizedBody": base64_of(body),
        }
        der = certificate.public_bytes(Encoding.DER)
        return {"certificate": {"rawBytes": base64_of(der)}, "tlogEntries": [entry]}


def _log(url: str, key: ec.EllipticCurvePrivateKey, start: dict[str, str]) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64_of(_spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": start,
        },
        "logId": {"keyId": base64.b64encode(_key_id(key)).decode()},
    }


def _canonical(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def _bundle(material: dict[str, Any], content: dict[str, Any]) -> bytes:
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    return json.dumps({"mediaType": kind, "verificationMaterial": material, **content}).encode()
