"""A process that seals: patient with an absent vault, honest about one that another key locks (real Postgres)."""

from threading import Event

import psycopg
import pytest

from events.vault.keys import Vault, VaultUnfit
from events.vault.ring import KeyRing, NotYet
from events.vault.sealing import parse
from events.vault.wrapping import WrongMasterKey
from tests.waiting import until

pytestmark = pytest.mark.parts
MASTER = bytes(range(32))
WAIT_S = 20.0


def test_once_the_vault_has_answered_ids_are_made_and_values_sealed(database: str) -> None:
    ring = KeyRing(Vault(database, MASTER), keys_in_pool=10)
    ring.start()

    assert ring.wait_ready(WAIT_S)

    sealed = parse(ring.sealer.seal(b"case", "citizen", bytes(16), "text", "words"))
    assert Vault(database, MASTER).key(sealed.key_id)
    assert ring.identity() == Vault(database, MASTER).identity()
    assert ring.keys_left() > 0
    ring.close()


def test_before_the_vault_has_answered_nothing_can_be_made() -> None:
    ring = KeyRing(Vault("postgresql://127.0.0.1:1/none", MASTER), keys_in_pool=10)
    ring.start()

    assert not ring.wait_ready(0.3)

    with pytest.raises(NotYet):
        ring.identity()
    assert ring.keys_left() == 0
    ring.close()


def test_a_vault_of_another_master_key_is_told_at_once(database: str) -> None:
    Vault(database, MASTER).prepare()
    told = Event()
    ring = KeyRing(Vault(database, bytes(32)), keys_in_pool=10, tell_failure=told)

    ring.start()

    assert told.wait(WAIT_S)
    assert isinstance(ring.failure, WrongMasterKey)
    ring.close()


def test_a_vault_that_refuses_is_told_without_its_rows_and_serves_again_once_it_is_mended(database: str) -> None:
    Vault(database, MASTER).prepare()
    with psycopg.connect(database) as db:
        db.execute("ALTER TABLE secret RENAME COLUMN wrapped TO elsewhere")
    told = Event()
    ring = KeyRing(Vault(database, MASTER), keys_in_pool=10, tell_failure=told)
    ring.start()

    assert told.wait(WAIT_S)
    assert isinstance(ring.failure, VaultUnfit)
    with psycopg.connect(database) as db:
        db.execute("ALTER TABLE secret RENAME COLUMN elsewhere TO wrapped")

    assert ring.wait_ready(WAIT_S)
    until(lambda: ring.failure is None, WAIT_S)
    ring.close()


def test_a_month_s_partition_that_is_lost_keeps_no_one_waiting_in_silence(database: str) -> None:
    told = Event()
    ring = KeyRing(Vault(database, MASTER), keys_in_pool=10, tell_failure=told)
    ring.start()
    assert ring.wait_ready(WAIT_S)
    with psycopg.connect(database) as db:
        (name,) = db.execute("SELECT relname FROM pg_class WHERE relname ~ '^party_key_[0-9]+$'").fetchone() or ("",)
        db.execute(f"DROP TABLE {name}")

    for case in range(ring.keys_left()):  # each case takes a key of its own
        ring.sealer.seal(case.to_bytes(16, "big"), "citizen", bytes(16), "text", "words")

    assert told.wait(WAIT_S)
    assert isinstance(ring.failure, VaultUnfit)
    ring.close()
