"""The store of sealed files: a folder where each file is named by the SHA-256 of its sealed content.

It takes and gives bytes that are already sealed and can open none. A file is on disk, whole, before `put` returns; the same content twice
is one file.
"""

import os
import secrets
from hashlib import sha256
from pathlib import Path

DIGEST_BYTES = 32


class FileMissing(Exception):
    """No file of this digest is stored."""


class FileDamaged(Exception):
    """The bytes on disk are not the ones that were stored."""


class StoreUnavailable(Exception):
    """The store can't take a file: disk full, no right to write. Nothing was stored; try again later."""


class FileStore:
    """Sealed files under one folder, spread over 256 folders by the first byte of their digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, sealed: bytes) -> bytes:
        """Store a sealed file and return its digest (32 bytes); raise StoreUnavailable."""
        digest = sha256(sealed).digest()
        path = self._path(digest)
        try:
            if not path.exists():
                self._write(path, sealed)
            _flush_folder(path.parent)
        except OSError as error:
            raise StoreUnavailable(f"store of sealed files: {error.strerror}") from None
        return digest

    def get(self, digest: bytes) -> bytes:
        """Return a sealed file; raise FileMissing or FileDamaged."""
        try:
            sealed = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise FileMissing(digest.hex()) from None
        if sha256(sealed).digest() != digest:
            raise FileDamaged(digest.hex())
        return sealed

    def exists(self, digest: bytes) -> bool:
        """Say whether a file of this digest is stored."""
        return self._path(digest).exists()

    def _path(self, digest: bytes) -> Path:
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
        return self._folder / digest[:1].hex() / digest.hex()

    def _write(self, path: Path, sealed: bytes) -> None:
        """Write beside, flush, rename, flush the folder: after a power cut the file is there whole or not at all."""
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _flush_folder(self._folder)
        unfinished = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with open(unfinished, "xb", opener=_private) as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
