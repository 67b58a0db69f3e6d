"""Keys wrapped by other keys: AES-256-GCM, bound to what the wrapped key is for, so that it can't stand in for another.

Layout of a wrapped key: nonce (12 bytes), ciphertext and tag. Knows neither tables nor where a wrapping key comes from.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class WrongMasterKey(Exception):
    """What is kept was wrapped by another key, or damaged: stop and call a person, waiting does not help."""


class Wrapping:
    """One wrapping key (32 bytes)."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise WrongMasterKey(f"a wrapping key has {KEY_BYTES} bytes, this one has {len(key)}")
        self._cipher = AESGCM(key)

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """Return `key` wrapped, bound to what it is `about`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Return the key inside; raise WrongMasterKey when it is not one of ours about this."""
        try:
            return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], about)
        except (InvalidTag, ValueError):  # ValueError: too short to be one
            raise WrongMasterKey(f"{about[:16].decode(errors='replace')}: not wrapped by this key, or damaged") from None
