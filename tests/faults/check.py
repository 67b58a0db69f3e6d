"""`python -m tests.faults.check`: the invariants of a hotline that runs, by the settings `HOTLINE_…` or the file `HOTLINE_SETTINGS`.

Reads the log, the read models and, with `--history`, what callers were told; writes nothing, unless `--rebuild` asks for I5. Exit codes:
0 every invariant holds; 1 findings, one line each; 3 a part is unreachable, or there was no quiet moment to compare tables in.
"""

import sys
from pathlib import Path

import click
import psycopg
from confluent_kafka import KafkaException

from deploy.exits import AWAY, DONE, FOUND
from deploy.problems import Problem
from events.settings import Settings
from events.vault.keys import VaultUnavailable
from events.vault.opening import open_vault
from tests.consumed import told
from tests.faults.history import History, read
from tests.faults.invariants import Evidence, Finding, check, tallies
from tests.faults.rebuilt import unequal
from tests.journeys.stacks import wait_settled


@click.command()
@click.option("--history", "path", type=click.Path(exists=True, path_type=Path), default=None, help="What callers were told: a run's file.")
@click.option("--quiet-within-s", type=float, default=60.0, show_default=True, help="How long to wait until nobody is behind.")
@click.option("--rebuild", is_flag=True, help="Build each read model again too (I5); what is built is dropped afterwards.")
def main(path: Path | None, quiet_within_s: float, rebuild: bool) -> None:
    """Check a running hotline."""
    settings = Settings()
    history = read(path) if path else History()
    try:
        wait_settled(settings, quiet_within_s)
        records = told(settings.kafka_address, unreadable_too=True)
        found: list[Finding] = check(Evidence(records, settings.database, history, open_vault(settings).identity()))
        found += unequal(settings) if rebuild else []
    except (Problem, KafkaException, psycopg.OperationalError, VaultUnavailable) as away:
        click.echo(f"cannot look: {type(away).__name__}: a part does not answer", err=True)
        sys.exit(AWAY)
    except AssertionError as restless:
        click.echo(f"not judged: somebody was always behind ({restless})", err=True)
        sys.exit(AWAY)
    for finding in found:
        click.echo(str(finding))
    counted = tallies(records)
    click.echo(f"{counted['records']} records, {len(history.heard)} answers: {len(found)} findings", err=True)
    sys.exit(FOUND if found else DONE)


if __name__ == "__main__":
    main()
