"""Make keys and certificates for tests, and sign what `tests.signing` writes."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
IN_TOTO = "application/vnd.in-toto+json"
HASHES = {256: SHA256(), 384: SHA384(), 521: SHA512()}


def public_pem(key: Key) -> str:
    """Give the half of a key that a policy names."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: Key) -> bytes:
    """Give the half of a key that no policy should name."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pae(payload: bytes, kind: str = IN_TOTO) -> bytes:
    """Encode a payload for signing, as DSSE has it."""
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def sign(key: Key, data: bytes) -> bytes:
    """Sign bytes with any kind of key."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), SHA256())
    return key.sign(data, ec.ECDSA(HASHES[key.key_size]))


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def key_material(hint: str = "") -> dict[str, Any]:
    """Say which key it was."""
    return {"publicKey": {"hint": hint} if hint else {}, "tlogEntries": []}


def chain_material(*certificates: x509.Certificate) -> dict[str, Any]:
    """Carry certificates, that of the signer first."""
    listed = [{"rawBytes": base64_of(one.public_bytes(Encoding.DER))} for one in certificates]
    return {"x509CertificateChain": {"certificates": listed}, "tlogEntries": []}


def signed_bundle(statement: Any, key: Key, material: Any = None, **changes: Any) -> bytes:
    """Sign a statement really, as a sigstore bundle."""
    payload = json.dumps(statement).encode()
    envelope = {
        "payload": base64_of(payload),
        "payloadType": IN_TOTO,
        "signatures": [{"sig": base64_of(sign(key, pae(payload)))}],
    }
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": key_material() if material is None else material,
            "dsseEnvelope": envelope | changes,
        }
    ).encode()


def signed_file(digest: str, key: Key, material: Any = None) -> bytes:
    """Sign one file really, by its SHA-256, as a sigstore bundle."""
    raw, hashed = bytes.fromhex(digest), utils.Prehashed(SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(raw, ec.ECDSA(hashed))
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(raw, padding.PKCS1v15(), hashed)
    else:
        raise TypeError("such a key signs no digest")
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": key_material() if material is None else material,
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": base64_of(raw)},
                "signature": base64_of(signature),
            },
        }
    ).encode()


class Authority:
    """Issues certificates."""

    def __init__(self, name: str, issuer: "Authority | None" = None, **usual: Any) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (issuer or self).issue(name, self.key, issues=True, **usual)

    @property
    def pem(self) -> str:
        """What a policy names."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        name: str,
        key: Key,
        *,
        issues: bool = False,
        start: datetime = NOW - DAY,
        end: datetime = NOW + DAY,
        purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CODE_SIGNING,),
        digital_signature: bool = True,
        extensions: tuple[x509.ExtensionType, ...] = (),
        serial: int = 0,
    ) -> x509.Certificate:
        """Issue a certificate, by default one for signing code."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=issues, path_length=None), critical=True)
            .add_extension(_usage(signs=digital_signature and not issues, issues=issues), True)  # noqa: FBT003 - critical
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if purposes and not issues:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, SHA256())


def _usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=issues,
        crl_sign=issues,
        content_commitment=False,
        key_encipherment=not signs and not issues,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
