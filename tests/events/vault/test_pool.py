"""The stock of keys: never the same key twice, never a wait, and patience with an absent vault."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from events.vault.keys import MOST_KEYS_AT_ONCE, PartyKey, VaultUnavailable, VaultUnfit
from events.vault.pool import KeyPool, PoolEmpty
from events.vault.wrapping import WrongMasterKey
from tests.waiting import until

WAIT_S = 10.0


class FakeVault:
    """Makes keys unless it is away; remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.away, self.asked_in_vain, self.batches = False, Event(), list[int]()
        self.broken: Exception | None = None

    def make_keys(self, count: int) -> list[PartyKey]:
        if self.away:
            self.asked_in_vain.set()
            raise VaultUnavailable("away")
        if self.broken:
            self.asked_in_vain.set()
            raise self.broken
        self.batches.append(count)
        return [PartyKey(secrets.token_bytes(16), bytes(32)) for _ in range(count)]


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def pool(vault: FakeVault) -> Iterator[KeyPool]:
    made = KeyPool(vault, size=12_000, low_water=6_000)
    yield made
    made.close()


def test_the_pool_fills_itself_in_bounded_batches(vault: FakeVault, pool: KeyPool) -> None:
    pool.start()

    assert pool.wait_filled(12_000, WAIT_S)
    assert vault.batches == [MOST_KEYS_AT_ONCE, MOST_KEYS_AT_ONCE, 2_000]


def test_no_two_callers_get_the_same_key(pool: KeyPool) -> None:
    pool.start()
    assert pool.wait_filled(12_000, WAIT_S)

    with ThreadPoolExecutor(8) as callers:
        taken = list(callers.map(lambda _: pool.take().key_id, range(10_000)))

    assert len(set(taken)) == 10_000


def test_a_pool_below_low_water_is_filled_again(pool: KeyPool) -> None:
    pool.start()
    assert pool.wait_filled(12_000, WAIT_S)

    for _ in range(6_001):
        pool.take()

    assert pool.wait_filled(12_000, WAIT_S)


def test_an_absent_vault_is_borne_while_keys_last_and_then_the_pool_is_empty(vault: FakeVault) -> None:
    pool = KeyPool(vault, size=3, low_water=3)
    pool.start()
    assert pool.wait_filled(3, WAIT_S)
    vault.away = True

    taken = [pool.take() for _ in range(3)]

    assert len(taken) == 3
    with pytest.raises(PoolEmpty):
        pool.take()
    assert vault.asked_in_vain.wait(WAIT_S)
    vault.away = False
    assert pool.wait_filled(3, WAIT_S)
    pool.close()


def test_a_pool_that_waits_for_its_vault_closes_at_once(vault: FakeVault) -> None:
    vault.away = True
    pool = KeyPool(vault, size=3)
    pool.start()
    assert vault.asked_in_vain.wait(WAIT_S)

    pool.close()

    assert not pool.wait_filled(1, WAIT_S)


def test_a_pool_that_was_never_started_closes_quietly(pool: KeyPool) -> None:
    pool.close()

    assert pool.left() == 0


@pytest.mark.parametrize("broken", [WrongMasterKey("another key"), VaultUnfit("a partition is missing"), ValueError("a slip of ours")])
def test_whatever_keeps_keys_from_being_made_is_remembered_and_told_when_none_is_left_and_tried_again(
    vault: FakeVault, broken: Exception
) -> None:
    told = Event()
    pool = KeyPool(vault, size=3, low_water=3, tell_failure=told)
    pool.start()
    assert pool.wait_filled(3, WAIT_S)
    vault.broken = broken

    pool.take()
    assert vault.asked_in_vain.wait(WAIT_S)
    until(lambda: pool.failure is broken, WAIT_S)
    assert not told.is_set()
    while pool.left():
        pool.take()

    assert told.wait(WAIT_S)
    vault.broken = None
    assert pool.wait_filled(3, WAIT_S)
    until(lambda: pool.failure is None, WAIT_S)
    pool.close()
