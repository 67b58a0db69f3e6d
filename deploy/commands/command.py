"""`hotline command`: what an operator asks of a ticket, by the same code as over HTTP and without it.

Prints one JSON object: the answer, or the problem. Exit codes: 0 decided or taken; 1 refused; 3 a part is unreachable, or nobody knows
whether it was taken: repeat with the same `--key`.
"""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import orjson

from api.intake.commands import LONGEST_WAIT_MS, WAIT_MS, Answer, ask, command_of
from api.intake.parts import Parts
from api.intake.publishing import trace_of
from api.intake.watch import OutcomeWatch
from api.intake.words import WORDS, Asked
from api.problems import Problem as Refused
from deploy.exits import AWAY, FOUND
from deploy.problems import PartAway
from events.actors import ID_RULE, is_actor_id
from events.reference import load
from events.settings import Settings
from events.vault.files import FileStore
from events.vault.opening import MasterKeyUnusable, open_vault
from events.vault.pool import reason_of
from events.vault.ring import KeyRing
from events.wire.codec import load_codec
from events.wire.publisher import Publisher

SOURCE = "hotline-command"
KEYS_NEEDED = 2
VAULT_TIMEOUT_S = 10.0
_FIRST_SERVER_ERROR = 500


def _text(value: str) -> str:
    """Return a word of the command line that is text, for the system hands over any bytes; raise click.BadParameter, which repeats none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("bytes that are no text in UTF-8") from None
    return value


@click.command("command")
@click.argument("name", type=click.Choice(list(WORDS)))
@click.argument("fields", nargs=-1, type=_text, metavar="[FIELD=VALUE]…")
@click.option("--ticket", required=True, type=_text, help="Number of the ticket: RU-2025-001234.")
@click.option("--expected-version", type=click.IntRange(min=1), help="Refuse if the ticket has moved on since.")
@click.option("--operator", default="local", type=_text, show_default=True, help="Who asks: an id, no name.")
@click.option("--key", type=_text, help="Idempotency key; the same key again is the same command. Default: a new one.")
@click.option(
    "--wait-ms", type=click.IntRange(0, LONGEST_WAIT_MS), default=WAIT_MS, show_default=True, help="How long to wait for the desk."
)
def COMMAND(  # noqa: N802 - the name the table looks for
    name: str, fields: tuple[str, ...], ticket: str, expected_version: int | None, operator: str, key: str | None, wait_ms: int
) -> int:
    """Ask something of a ticket, as an operator."""
    from events.logging import configure

    configure("command")  # logs go to standard error; standard output is the answer's
    if not is_actor_id(operator):
        raise click.UsageError(f"--operator is an id: {ID_RULE}")
    document = {"command": name, "ticket": ticket, **_read_fields(fields)}
    if expected_version is not None:
        document["expected_version"] = expected_version
    key = key or secrets.token_hex(16)
    try:
        with _opened(Settings()) as parts:
            answer = asyncio.run(_ask(parts, document, f"operator:{operator}", key, wait_ms / 1000))
    except Refused as refused:
        click.echo(orjson.dumps(refused.document | {"key": key}))
        return AWAY if refused.status >= _FIRST_SERVER_ERROR else FOUND
    click.echo(orjson.dumps(answer.document | {"key": key}))
    return 0


def _read_fields(fields: tuple[str, ...]) -> dict[str, Any]:
    pairs = [field.partition("=") for field in fields]
    if not all(name and sign for name, sign, _ in pairs):
        raise click.UsageError("fields are given as FIELD=VALUE")
    names = [name for name, _, _ in pairs]
    for name in names:
        if name in Asked.model_fields:
            raise click.UsageError(f"{name} is no field: it is said by the command's own words and options")
        if names.count(name) > 1:
            raise click.UsageError(f"{name} is given more than once")
    return {name: value for name, _, value in pairs}


async def _ask(parts: Parts, document: dict[str, Any], actor: str, key: str, wait_s: float) -> Answer:
    try:
        return await ask(parts, command_of(document, actor, key, parts), wait_s, trace_of(None))
    finally:
        await parts.watch.close()


@contextmanager
def _opened(settings: Settings) -> Iterator[Parts]:
    """Give what the intake's code works with; raise PartAway when the vault does not answer in time."""
    try:
        ring = KeyRing(open_vault(settings), KEYS_NEEDED)
    except MasterKeyUnusable as unusable:
        raise PartAway(str(unusable)) from None
    publisher = Publisher(settings.kafka_access, load_codec(), SOURCE)
    ring.start()
    try:
        if not ring.wait_ready(VAULT_TIMEOUT_S):
            raise PartAway(reason_of(failure) if (failure := ring.failure) else "the vault does not answer")
        yield Parts(
            reference=load(settings.reference),
            ring=ring,
            files=FileStore(settings.files_path),
            publisher=publisher,
            watch=OutcomeWatch(settings.database),
        )
    finally:
        publisher.close()
        ring.close()
