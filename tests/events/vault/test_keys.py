"""The vault's database: keys are made once, wrapped, and found again (real Postgres)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from events.vault.keys import MOST_KEYS_AT_ONCE, KeyUnknown, Vault, VaultUnavailable
from events.vault.wrapping import WrongMasterKey

pytestmark = pytest.mark.parts
MASTER = bytes(range(32))


def _rows(dsn: str, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as db:
        return db.execute(question.encode()).fetchall()


def test_every_process_gets_the_same_identity_even_when_all_prepare_at_once(database: str) -> None:
    def start(_: int) -> bytes:
        vault = Vault(database, MASTER)
        vault.prepare()
        return vault.identity().key

    with ThreadPoolExecutor(8) as processes:
        keys = set(processes.map(start, range(16)))

    assert len(keys) == 1
    assert len(keys.pop()) == 32


def test_keys_are_in_the_vault_before_anybody_gets_them(database: str) -> None:
    vault = Vault(database, MASTER)
    vault.prepare()

    made = vault.make_keys(500)

    assert len({one.key_id for one in made}) == 500
    assert all(Vault(database, MASTER).key(one.key_id) == one.key for one in made[:20])


def test_processes_that_make_the_first_keys_of_a_month_at_once_share_its_key(database: str) -> None:
    Vault(database, MASTER).prepare()

    with ThreadPoolExecutor(8) as processes:
        made = [one for keys in processes.map(lambda _: Vault(database, MASTER).make_keys(3), range(8)) for one in keys]

    reader = Vault(database, MASTER)
    assert all(reader.key(one.key_id) == one.key for one in made)
    assert len(_rows(database, "SELECT epoch FROM epoch_key")) == 1


def test_a_new_month_gets_its_own_key_and_its_own_partition(database: str) -> None:
    moment = datetime(2025, 12, 31, 23, 59, tzinfo=UTC)
    vault = Vault(database, MASTER, clock=lambda: moment)
    vault.prepare()
    (old,) = vault.make_keys(1)

    moment = datetime(2026, 1, 1, tzinfo=UTC)
    (new,) = vault.make_keys(1)

    assert _rows(database, "SELECT epoch FROM epoch_key ORDER BY 1") == [(202512,), (202601,)]
    assert _rows(database, "SELECT key_id FROM party_key_202512") == [(old.key_id,)]
    assert (vault.key(old.key_id), vault.key(new.key_id)) == (old.key, new.key)


def test_no_key_stands_in_clear_in_the_tables_nor_in_a_repr(database: str) -> None:
    vault = Vault(database, MASTER)
    vault.prepare()
    (made,) = vault.make_keys(1)
    secret = vault.identity().key

    stored = b"".join(row[0] for table in ("secret", "epoch_key", "party_key") for row in _rows(database, f"SELECT wrapped FROM {table}"))

    assert made.key not in stored
    assert secret not in stored
    assert repr(made.key)[2:-1] not in repr(made)
    assert "key=" not in repr(vault.identity())


@pytest.mark.parametrize("ask", [lambda v: v.identity(), lambda v: v.make_keys(1)])
def test_another_master_key_is_named_and_opens_nothing(database: str, ask: Callable[[Vault], object]) -> None:
    right = Vault(database, MASTER)
    right.prepare()
    right.make_keys(1)

    with pytest.raises(WrongMasterKey):
        ask(Vault(database, bytes(32)))


def test_a_wrapped_key_moved_to_another_row_opens_nothing(database: str) -> None:
    vault = Vault(database, MASTER)
    vault.prepare()
    first, second = vault.make_keys(2)
    with psycopg.connect(database) as db:
        db.execute(
            "UPDATE party_key SET wrapped = (SELECT wrapped FROM party_key WHERE key_id = %s) WHERE key_id = %s",
            [first.key_id, second.key_id],
        )

    with pytest.raises(WrongMasterKey):
        vault.key(second.key_id)


def test_a_key_that_was_never_made_is_unknown(database: str) -> None:
    vault = Vault(database, MASTER)
    vault.prepare()

    with pytest.raises(KeyUnknown):
        vault.key(bytes(16))


def test_an_absent_vault_says_so_without_its_address() -> None:
    vault = Vault("postgresql://somebody:sesame@127.0.0.1:1/vault", MASTER)

    with pytest.raises(VaultUnavailable) as refusal:
        vault.make_keys(1)

    assert "sesame" not in str(refusal.value)
    assert "127.0.0.1" not in str(refusal.value)


@pytest.mark.parametrize("count", [0, MOST_KEYS_AT_ONCE + 1])
def test_batches_of_keys_are_bounded(count: int) -> None:
    with pytest.raises(ValueError, match="at once"):
        Vault("", MASTER).make_keys(count)
