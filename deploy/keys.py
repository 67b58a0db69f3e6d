"""Key files of a local stack: made when they are missing, never written over. What they lock is of no concern here."""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from deploy.problems import PartAway
from events.settings import Settings

MASTER_KEY_BYTES = 32


def make_missing_keys(settings: Settings) -> list[Path]:
    """Make the master key of the vault and the pair for tokens where they are missing; returns what was made.

    Raises PartAway for a private key that cannot be read. A public key without its private one is left alone: tokens come from elsewhere.
    """
    made = []
    if _write_new(settings.master_key_path, secrets.token_bytes(MASTER_KEY_BYTES).hex().encode() + b"\n"):
        made.append(settings.master_key_path)
    signing, verifying = settings.signing_key_path, settings.verifying_key_path
    if not verifying.exists() and not signing.exists():
        private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        if _write_new(signing, private):
            made.append(signing)
    if not verifying.exists() and _write_new(verifying, _public(signing)):
        made.append(verifying)
    return made


def _public(signing: Path) -> bytes:
    try:
        private = load_pem_private_key(signing.read_bytes(), password=None)
    except ValueError:
        raise PartAway(f"{signing} is not a private key in PEM") from None
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file of mode 0600 whole or not at all; False if one is there."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(half, path)
    except FileExistsError:
        return False
    finally:
        half.unlink()
    return True
