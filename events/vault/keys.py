"""The vault's database: where the keys of people are made and kept, each wrapped by a month's key and those by the master key.

Talks to its own Postgres and to nothing else. It knows no person, no contact and no event: a key's id is random and says nothing, and who
a key belongs to is found in the log alone. A key is committed before anybody gets it, so a value sealed with a key that the vault does not
know can't exist.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from events.identity import Identity
from events.vault.wrapping import KEY_BYTES, Wrapping

KEY_ID_BYTES = 16
MOST_KEYS_AT_ONCE = 5_000
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 5_000
_IDENTITY = "identity"  # name of the secret behind all event ids; it never rotates
_MAKING_LOCK = 0x686F746C  # any number that no other user of this database locks

_DDL = """
CREATE TABLE IF NOT EXISTS secret (name text PRIMARY KEY, wrapped bytea NOT NULL);
CREATE TABLE IF NOT EXISTS epoch_key (epoch integer PRIMARY KEY, wrapped bytea NOT NULL);
CREATE TABLE IF NOT EXISTS party_key (
    epoch   integer NOT NULL,
    key_id  bytea   NOT NULL,
    wrapped bytea   NOT NULL,
    PRIMARY KEY (key_id, epoch)
) PARTITION BY LIST (epoch);
"""


class VaultUnavailable(Exception):
    """The vault's database does not answer or can't write: wait and try again."""


class VaultUnfit(Exception):
    """The vault's database answers and refuses: a table, a month's partition or a right is missing. Call a person."""


class KeyUnknown(Exception):
    """The vault holds no key of this id: it was destroyed, or never made here."""


@dataclass(frozen=True, slots=True)
class PartyKey:
    """The key of one party of one case."""

    key_id: bytes  # 16 random bytes, stand in clear in each value it seals
    key: bytes = field(repr=False)  # 32 bytes


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Vault:
    """Makes and finds keys; holds no connection between calls, so any thread may use it."""

    def __init__(self, dsn: str, master_key: bytes, clock: Callable[[], datetime] = _utc_now) -> None:
        self._dsn, self._master, self._clock = dsn, Wrapping(master_key), clock
        self._epochs: dict[int, Wrapping] = {}  # one a month: stays small

    def prepare(self) -> None:
        """Make the tables and the hash key if they are missing; safe when several processes start at once."""
        with self._connect() as db:
            _wait_for_turn(db)
            db.execute(_DDL)
            wrapped = self._master.wrap(secrets.token_bytes(KEY_BYTES), f"secret {_IDENTITY}".encode())
            db.execute("INSERT INTO secret VALUES (%s, %s) ON CONFLICT DO NOTHING", [_IDENTITY, wrapped])

    def identity(self) -> Identity:
        """Return the maker of event ids; the same for every process and for ever."""
        with self._connect() as db:
            row = db.execute("SELECT wrapped FROM secret WHERE name = %s", [_IDENTITY]).fetchone()
        if row is None:
            raise VaultUnavailable("the vault is not prepared")
        return Identity(self._master.unwrap(row[0], f"secret {_IDENTITY}".encode()))

    def make_keys(self, count: int) -> list[PartyKey]:
        """Make and commit `count` keys (1 … MOST_KEYS_AT_ONCE) in this month's epoch."""
        if not 1 <= count <= MOST_KEYS_AT_ONCE:
            raise ValueError(f"1 to {MOST_KEYS_AT_ONCE} keys at once, not {count}")
        now = self._clock().astimezone(UTC)
        epoch = now.year * 100 + now.month
        made = [PartyKey(secrets.token_bytes(KEY_ID_BYTES), secrets.token_bytes(KEY_BYTES)) for _ in range(count)]
        with self._connect() as db:
            wrapping = self._epochs.get(epoch) or self._open_epoch(db, epoch)
            with db.cursor().copy("COPY party_key (epoch, key_id, wrapped) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "bytea", "bytea"])
                for one in made:
                    copy.write_row((epoch, one.key_id, wrapping.wrap(one.key, _about(epoch, one.key_id))))
        self._epochs[epoch] = wrapping  # only now is it certain that the epoch is committed
        return made

    def key(self, key_id: bytes) -> bytes:
        """Return the key of this id; raise KeyUnknown. For tests and for readers to come: no process opens anything yet."""
        with self._connect() as db:
            row = db.execute("SELECT epoch, wrapped FROM party_key WHERE key_id = %s", [key_id]).fetchone()
            if row is None:
                raise KeyUnknown(key_id.hex())
            epoch = int(row[0])
            wrapping = self._epochs.get(epoch) or self._find_epoch(db, epoch)
        if wrapping is None:
            raise KeyUnknown(f"{key_id.hex()}: the key of epoch {epoch} is gone")
        return wrapping.unwrap(row[1], _about(epoch, key_id))

    def _open_epoch(self, db: psycopg.Connection, epoch: int) -> Wrapping:
        """Return the month's key; the first who asks makes it, and the month's partition."""
        _wait_for_turn(db)
        wrapped = self._master.wrap(secrets.token_bytes(KEY_BYTES), f"epoch {epoch}".encode())
        db.execute("INSERT INTO epoch_key VALUES (%s, %s) ON CONFLICT DO NOTHING", [epoch, wrapped])
        partition = sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF party_key FOR VALUES IN ({})")
        db.execute(partition.format(sql.Identifier(f"party_key_{epoch}"), sql.Literal(epoch)))
        found = self._find_epoch(db, epoch)
        assert found is not None, "just inserted or already there"
        return found

    def _find_epoch(self, db: psycopg.Connection, epoch: int) -> Wrapping | None:
        row = db.execute("SELECT wrapped FROM epoch_key WHERE epoch = %s", [epoch]).fetchone()
        return Wrapping(self._master.unwrap(row[0], f"epoch {epoch}".encode())) if row else None

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection]:
        """One bounded transaction on a connection of its own; committed to disk when the block ends well."""
        bounds = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={STATEMENT_TIMEOUT_MS} -c synchronous_commit=on"
        try:
            with psycopg.connect(
                self._dsn, connect_timeout=CONNECT_TIMEOUT_S, tcp_user_timeout=STATEMENT_TIMEOUT_MS, options=bounds, autocommit=False
            ) as db:
                yield db
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:  # Internal: a read-only standby
            raise VaultUnavailable(f"{type(error).__name__} {error.sqlstate or 'no answer'}") from None
        except psycopg.Error as error:  # its own words may hold a row
            raise VaultUnfit(f"the vault refuses: {type(error).__name__} {error.sqlstate or ''}".rstrip()) from None


def _wait_for_turn(db: psycopg.Connection) -> None:
    """Let one process at a time make what all share, until the transaction ends."""
    db.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING_LOCK])


def _about(epoch: int, key_id: bytes) -> bytes:
    """What a wrapped party key is bound to: it can't be moved to another row."""
    return f"party {epoch} ".encode() + key_id
