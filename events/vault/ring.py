"""All that a process needs to seal, from the moment the vault has answered once: the maker of ids, a pool of keys, the sealer.

A process may start while the vault is away: it says NotYet until then and never falls. After that it lives on its pool. What waiting can't
heal is logged, remembered and told, and tried again all the same. Knows nothing of what is sealed, and opens nothing.
"""

from threading import Event as Flag
from threading import Thread

import structlog

from events.identity import Identity
from events.vault.keys import Vault, VaultUnavailable
from events.vault.pool import CLOSE_TIMEOUT_S, FIRST_WAIT_S, KEYS_IN_POOL, LONGEST_WAIT_S, KeyPool, reason_of
from events.vault.sealing import Sealer

_log = structlog.get_logger(__name__)


class NotYet(Exception):
    """The vault has not answered since this process began: nothing can be taken yet."""


class KeyRing:
    """Opens the vault in the background and holds what comes of it."""

    def __init__(self, vault: Vault, keys_in_pool: int = KEYS_IN_POOL, tell_failure: Flag | None = None) -> None:
        """`tell_failure` is set when waiting can't help and nothing can be sealed; `failure` then says why."""
        self._vault, self._tell = vault, tell_failure or Flag()
        self._pool = KeyPool(vault, keys_in_pool, tell_failure=self._tell)
        self.sealer = Sealer(self._pool)
        self._not_opened: Exception | None = None
        self._identity: Identity | None = None
        self._opened, self._closing = Flag(), Flag()
        self._thread = Thread(target=self._open, name="key-ring", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End the threads, within twice CLOSE_TIMEOUT_S. Keys that are left are never used."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S)
        self._pool.close()

    def identity(self) -> Identity:
        """Return the maker of ids; raise NotYet."""
        if self._identity is None:
            raise NotYet("the vault has not answered yet")
        return self._identity

    @property
    def failure(self) -> Exception | None:
        """What keeps keys from being made although the vault answers: another master key, a missing table or right; None: nothing."""
        return self._not_opened or self._pool.failure

    def keys_left(self) -> int:
        """Count the keys ready for use."""
        return self._pool.left()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until ids can be made and a key is there; False when that was not in time."""
        return self._opened.wait(timeout_s) and self._pool.wait_filled(1, timeout_s)

    def _open(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._closing.is_set():
            try:
                self._vault.prepare()
                self._identity = self._vault.identity()
                self._not_opened = None
                self._pool.start()
                self._opened.set()
                return
            except Exception as failure:  # noqa: BLE001 - remembered and told: a dead thread would leave the process waiting for ever
                self._note(failure, wait_s)
                self._closing.wait(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _note(self, failure: Exception, wait_s: float) -> None:
        _log.warning("vault not opened", reason=reason_of(failure), again_in_s=wait_s)
        self._not_opened = None if isinstance(failure, VaultUnavailable) else failure
        if self._not_opened is not None:
            self._tell.set()
