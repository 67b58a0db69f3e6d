"""A bounded stock of keys made beforehand, so that sealing never waits for a database.

A thread refills it from the vault; while the vault is away the stock lasts, and then PoolEmpty says so. Whatever else keeps it from
refilling is logged, remembered in `failure` and tried again. It knows nothing of what the keys will seal. The keys live in memory only:
what is left at the end of a process is never used, and destroyed unbound.
"""

from collections import deque
from threading import Condition, Thread
from threading import Event as Flag
from typing import Protocol

import structlog

from events.vault.keys import MOST_KEYS_AT_ONCE, PartyKey, VaultUnavailable, VaultUnfit
from events.vault.wrapping import WrongMasterKey

KEYS_IN_POOL = 20_000
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
CLOSE_TIMEOUT_S = 10.0
_OURS = (VaultUnavailable, VaultUnfit, WrongMasterKey)  # their words are made by us and hold nothing of a row

_log = structlog.get_logger(__name__)


class PoolEmpty(Exception):
    """No key is left and the vault gives none: nothing can be sealed, so nothing can be taken. Answer 503."""


def reason_of(failure: Exception) -> str:
    """Return why no keys are made, in words that may be shown."""
    return str(failure) if isinstance(failure, _OURS) else type(failure).__name__


class KeySource(Protocol):
    """What the pool asks of a vault."""

    def make_keys(self, count: int) -> list[PartyKey]:
        """Make and commit `count` keys; raise VaultUnavailable, VaultUnfit, WrongMasterKey."""


class KeyPool:
    """Keys ready for use; `take` never blocks. Refilled to `size` whenever fewer than `low_water` are left."""

    def __init__(self, vault: KeySource, size: int = KEYS_IN_POOL, low_water: int | None = None, tell_failure: Flag | None = None) -> None:
        """`tell_failure` is set when no key is left and `failure` keeps new ones from being made."""
        self._vault, self._size, self._tell = vault, size, tell_failure or Flag()
        self.failure: Exception | None = None  # what waiting for the vault can't heal; None again as soon as keys are made
        self._low_water = size // 2 if low_water is None else low_water
        if not 0 < self._low_water <= size:
            raise ValueError(f"low water {self._low_water} lies outside 1 … {size}")
        self._keys: deque[PartyKey] = deque()
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._keep_full, name="key-pool", daemon=True)

    def start(self) -> None:
        """Begin to fill; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop refilling, within CLOSE_TIMEOUT_S."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S)

    def take(self) -> PartyKey:
        """Return a key that nobody else gets; raise PoolEmpty."""
        with self._changed:
            if not self._keys:
                raise PoolEmpty("no keys are left")
            key = self._keys.popleft()
            if len(self._keys) < self._low_water:
                self._changed.notify_all()
        return key

    def left(self) -> int:
        """Count the keys ready for use."""
        return len(self._keys)

    def wait_filled(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` keys are there; False when they were not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._keys) >= count or self._closing, timeout_s) and not self._closing

    def _keep_full(self) -> None:
        wait_s = FIRST_WAIT_S
        while self._wait_until_low():
            try:
                self._fill()
                wait_s, self.failure = FIRST_WAIT_S, None
            except Exception as failure:  # noqa: BLE001 - remembered and told: a dead thread would leave the pool empty for ever
                self._note(failure, wait_s)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _note(self, failure: Exception, wait_s: float) -> None:
        _log.warning("keys not made", reason=reason_of(failure), left=self.left(), again_in_s=wait_s)
        self.failure = None if isinstance(failure, VaultUnavailable) else failure
        if self.failure is not None and not self.left():
            self._tell.set()

    def _wait_until_low(self) -> bool:
        """Wait for the stock to fall below low water; False when the pool is closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or len(self._keys) < self._low_water)
            return not self._closing

    def _fill(self) -> None:
        """Make keys in batches until the pool is full."""
        while (missing := self._size - self.left()) > 0 and not self._closing:
            made = self._vault.make_keys(min(missing, MOST_KEYS_AT_ONCE))
            with self._changed:
                self._keys.extend(made)
                self._changed.notify_all()
