"""Ids that every repeat of an input gets again: 48 bits of a time the input itself tells, 80 bits of a keyed hash.

The key never rotates and is kept with the vault, so nobody outside can guess an id from a phone call's or a letter's own id.
"""

from dataclasses import dataclass, field
from hashlib import blake2b

ID_BYTES = 16
_HASH_BYTES = 10
_TIME_BYTES = 6
NO_TIME_US = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Makes ids and digests with the service's hash key (32 bytes)."""

    key: bytes = field(repr=False)

    def event_id(self, kind: str, *parts: str | bytes | int, time_us: int = NO_TIME_US) -> bytes:
        """Return the id of the event that `kind` and `parts` describe; `time_us` only if the input repeats it, never our clock."""
        milliseconds = max(0, time_us // 1000) & (1 << 8 * _TIME_BYTES) - 1
        return milliseconds.to_bytes(_TIME_BYTES, "big") + self._hash(b"event", _HASH_BYTES, (kind, *parts))

    def contact_id(self, channel: str, *own_id: str | bytes) -> bytes:
        """Return the id of the contact that `channel` knows by `own_id`: a call's, a chat's or a letter's."""
        return self._hash(b"contact", ID_BYTES, (channel, *own_id))

    def digest(self, kind: str, *parts: str | bytes | int) -> bytes:
        """Return a 16-byte keyed digest, for comparing what must not be stored."""
        return self._hash(b"digest", ID_BYTES, (kind, *parts))

    def _hash(self, purpose: bytes, size_bytes: int, parts: tuple[str | bytes | int, ...]) -> bytes:
        hashed = blake2b(digest_size=size_bytes, key=self.key, person=purpose)
        for part in parts:
            raw = part if isinstance(part, bytes) else str(part).encode()
            hashed.update(len(raw).to_bytes(4, "big"))  # lengths keep ("ab", "c") and ("a", "bc") apart
            hashed.update(raw)
        return hashed.digest()
