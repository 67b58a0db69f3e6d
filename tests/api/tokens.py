"""Keys and tokens for tests, made once: a gate and whoever may pass it."""

from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from api.access import ALGORITHM, AUDIENCE, ISSUER, Gate

FAR_S = 4_000_000_000
KEY = Ed25519PrivateKey.generate()
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def gate() -> Gate:
    """Return a gate that lets the tokens of this module through."""
    return Gate(KEY.public_key())


def token(role: str = "adapter", sub: str = "test", **claims: object) -> str:
    """Return a token; `claims` replace or add, None leaves one out."""
    told = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "role": role, "exp": FAR_S} | claims
    return jwt.encode({name: value for name, value in told.items() if value is not None}, KEY, ALGORITHM)


def bearer(role: str = "adapter", sub: str = "test") -> dict[str, str]:
    """Return the header that a caller of this role sends."""
    return {"Authorization": f"Bearer {token(role, sub)}"}


def write_keys(home: Path) -> None:
    """Write the key pair where the settings of `home` look for it."""
    (home / "token.key").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (home / "token.pub").write_bytes(PUBLIC_PEM)
