"""Sealed files of one request, held in memory until the whole request may be taken.

So a refused request leaves nothing in the store, and nobody waits for the disk but the thread that stores. What is held is bounded by the
size of the request. Knows nothing of what the files are.
"""

from hashlib import sha256

from events.channels.channel import KeepsFiles


class HeldFiles:
    """Stands before the store while a request is translated; belongs to one request."""

    def __init__(self, store: KeepsFiles) -> None:
        self._store = store
        self._held: dict[bytes, bytes] = {}

    def put(self, sealed: bytes, /) -> bytes:
        """Hold a sealed file; return the digest that the store will know it by."""
        digest = sha256(sealed).digest()
        self._held[digest] = sealed
        return digest

    def exists(self, digest: bytes, /) -> bool:
        """Tell whether the file is held or stored."""
        return digest in self._held or self._store.exists(digest)

    def is_empty(self) -> bool:
        """Tell whether there is nothing to store."""
        return not self._held

    def store(self) -> None:
        """Store all that is held; waits for the disk. Raise what the store raises."""
        for sealed in self._held.values():
            self._store.put(sealed)
