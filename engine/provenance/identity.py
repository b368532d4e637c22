"""An identity: a private key and the certificates that say whose it is, in one PEM file.

Knows X.509 and what C2PA asks of a certificate (C2PA 2.2, section 14: key usage digitalSignature, an extended key
usage, a chain of two or more). Does not know where a user keeps one (`keys`), or what is signed. The key itself is in
no representation, message or exception.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate, Name, ObjectIdentifier

YEARS = 10  # that an identity made here is valid
_DIGITS = 16  # of an id
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Identity:
    """What signs.

    Attributes:
        certificates: PEM, the signer's first, then those that vouch for it; the last one is the root.
        algorithm: as C2PA names it, "es256".
        id: 16 hexadecimal digits of the SHA-256 of the public key; it may be published.
        name: the common name of the signer's certificate.
        organization: that of its certificate; "" without one.
        until: when the certificate ends, "2036-11-29".
        key: the private key, PEM (PKCS 8).
    """

    certificates: bytes
    algorithm: str
    id: str
    name: str
    organization: str
    until: str
    key: bytes = field(repr=False)

    @property
    def root(self) -> bytes:
        """The certificate that others trust to recognise this identity, PEM."""
        return blocks(self.certificates)[-1]

    @property
    def pem(self) -> bytes:
        """The file: the private key, then the certificates."""
        return self.key + self.certificates


def blocks(pem: bytes) -> list[bytes]:
    """The PEM blocks of a text, each with its end of line."""
    return [match[0] + b"\n" for match in _PEM.finditer(pem)]


def new_identity() -> Identity:
    """A fresh one for this user: a P-256 key, its certificate, and a root of its own that vouches for nothing else.

    It names no person: its common name is "Clavilux" with its id. The root's private key is thrown away.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)

    def name(common: str) -> x509.Name:
        return x509.Name([
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-made, by no authority"),
        ])  # fmt: skip

    def certificate(subject: str, of: ec.EllipticCurvePrivateKey, authority: bool) -> x509.Certificate:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
             "decipher_only"), False,
        )  # fmt: skip
        found = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(f"Clavilux root {number}"))
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
            .not_valid_after(now + datetime.timedelta(days=round(YEARS * 365.25)))
            .add_extension(x509.BasicConstraints(authority, 0 if authority else None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
            )
        )  # fmt: skip
        if not authority:  # C2PA takes this usage for signers
            found = found.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        return found.sign(root_key, hashes.SHA256())

    number = _id(key)
    made = [certificate(f"Clavilux {number}", key, False), certificate(f"Clavilux root {number}", root_key, True)]
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return read_identity(text + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in made), "a new key")


def read_identity(pem: bytes, given: str) -> Identity:
    """An identity from the text of a file.

    Args:
        pem: a private key without a password, and certificates, in any order of the two; the signer's certificate
            comes before those that vouch for it.
        given: what the file is called in an error.

    Raises:
        ValueError: no key or no certificates, a key that has a password, is of another kind, or is not the
            certificate's, or a certificate that cannot sign or has ended.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    found = blocks(pem)
    keys = [each for each in found if b"PRIVATE KEY" in each.splitlines()[0]]
    texts = [each for each in found if each.startswith(b"-----BEGIN CERTIFICATE-----")]
    if len(keys) != 1 or not texts:
        raise ValueError(
            f"{given} holds {len(keys)} private keys and {len(texts)} certificates; it should hold one key and the "
            "certificates from the signer's to the root, as PEM"
        )
    if b"ENCRYPTED" in keys[0]:
        raise ValueError(f"the private key in {given} has a password; store it without one, readable by you alone")
    try:
        key = serialization.load_pem_private_key(keys[0], None)
        certificates = [x509.load_pem_x509_certificate(each) for each in texts]
    except (ValueError, TypeError):  # whose words might quote the key
        raise ValueError(f"{given} is damaged: its key or a certificate cannot be read") from None
    if _public_bytes(key) != _public_bytes(certificates[0]):
        raise ValueError(f"the private key in {given} is not that of its first certificate; put the signer's first")
    _check_certificates(certificates, given)
    names = certificates[0].subject
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(
        certificates=b"".join(texts), algorithm=_algorithm(key, given), id=_id(key),
        name=_attribute(names, x509.NameOID.COMMON_NAME),
        organization=_attribute(names, x509.NameOID.ORGANIZATION_NAME),
        until=f"{certificates[0].not_valid_after_utc:%Y-%m-%d}", key=plain,
    )  # fmt: skip


def certificate_id(pem: bytes) -> str:
    """The id of the identity that a certificate is of. ValueError for what is no certificate."""
    from cryptography import x509

    return _id(x509.load_pem_x509_certificate(pem))


def _check_certificates(certificates: list[Certificate], given: str) -> None:
    from cryptography import x509

    first, now = certificates[0], datetime.datetime.now(datetime.UTC)
    if len(certificates) < 2:
        raise ValueError(f"{given} holds one certificate; C2PA asks for the signer's and that of who vouches for it")
    if first.not_valid_after_utc < now:
        raise ValueError(f"the certificate in {given} ended on {first.not_valid_after_utc:%Y-%m-%d}; get a new one")
    if first.not_valid_before_utc > now:
        raise ValueError(f"the certificate in {given} begins on {first.not_valid_before_utc:%Y-%m-%d}, in the future")
    try:
        signs = first.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        first.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        signs = False
    if not signs:
        raise ValueError(
            f"the certificate in {given} is not for signing; it should have the key usage digitalSignature and an "
            "extended key usage such as emailProtection"
        )
    for signed, by in itertools.pairwise(certificates):
        try:
            signed.verify_directly_issued_by(by)
        except Exception as error:  # of several kinds, by what does not fit
            raise ValueError(f"the certificates in {given} are no chain: one is not signed by the next") from error


def _algorithm(key: PrivateKeyTypes, given: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise ValueError(f"the private key in {given} is of a kind that C2PA does not take; give P-256, Ed25519 or RSA")


def _public_bytes(of: PrivateKeyTypes | Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _id(of: PrivateKeyTypes | Certificate) -> str:
    return hashlib.sha256(_public_bytes(of)).hexdigest()[:_DIGITS]


def _attribute(names: Name, kind: ObjectIdentifier) -> str:
    found = names.get_attributes_for_oid(kind)
    return str(found[0].value) if found else ""
