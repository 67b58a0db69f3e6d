"""The way to the vault from the settings: its address, and the master key from its file.

The one place that reads the master key. It makes no key: `hotline up` does, once, and never writes over one.
"""

from events.settings import Settings
from events.vault.keys import Vault
from events.vault.wrapping import KEY_BYTES


class MasterKeyUnusable(Exception):
    """The file of the master key is missing or holds something else; the message names the file, never its content."""


def open_vault(settings: Settings) -> Vault:
    """Return the vault that the settings name; raise MasterKeyUnusable. Nothing is connected yet."""
    path = settings.master_key_path
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MasterKeyUnusable(f"the vault's master key can't be read: {path}: {error.strerror}") from None
    return Vault(settings.vault, _parse(raw, str(path)))


def _parse(raw: bytes, path: str) -> bytes:
    """Take 32 raw bytes or 64 hex digits."""
    if len(raw) == KEY_BYTES:
        return raw
    try:
        key = bytes.fromhex(raw.decode("ascii").strip())
    except ValueError:  # also what is no ASCII
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyUnusable(f"{path}: a master key is {KEY_BYTES} bytes, or as many in hex")
    return key
