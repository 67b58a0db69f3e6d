"""`hotline redrive KEY`: asks the owners of the partitions to try again what is parked under one ticket or contact, and waits for them."""

import json
import time
from collections.abc import Sequence
from typing import Any

import click

from deploy.commands.parked import line, shown
from deploy.exits import AWAY, DONE, FOUND
from events.settings import Settings

LONGEST_WAIT_S = 30.0
_LOOK_S = 0.2


@click.command("redrive")
@click.argument("key", metavar="TICKET")
@click.option("--dry-run", is_flag=True, help="Only show what would be tried again.")
@click.option("--json", "as_json", is_flag=True, help="One object per consumer, nothing else.")
def COMMAND(key: str, dry_run: bool, as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """Try again, in their order, the records parked under the number of a TICKET or the id of a contact (32 hexadecimal digits).

    Whoever owns their partition does it. Exit code 0 if nothing is parked any longer, 1 if something still fails, 3 if nobody tried it
    within 30 s.
    """
    from deploy.databases import asking
    from projectors import parked
    from projectors.parked import DONE as REDRIVEN
    from projectors.parked import Request

    with asking(Settings().database, "hotline redrive") as db:
        waiting = parked.list_keys(db, key.encode())
        wanted = {Request(one.consumer, one.topic, one.partition, one.key): shown(one) for one in waiting}
        if not wanted and not as_json:
            click.echo(f"nothing is parked under {key}")
        if dry_run or not wanted:
            return _say([{**seen, "result": "not tried"} for seen in wanted.values()], as_json, code=FOUND if wanted else DONE)
        parked.request(db, wanted, time.time_ns() // 1000)
        answers = _answers(db, list(wanted))
        parked.forget_requests(db, list(wanted))
    results = [{**seen, "result": answers[one]} for one, seen in wanted.items()]
    if None in answers.values():
        return _say(results, as_json, code=AWAY)
    return _say(results, as_json, code=DONE if all(answer == REDRIVEN for answer in answers.values()) else FOUND)


def _answers(db: Any, wanted: Sequence[Any]) -> dict[Any, str | None]:
    """Return how each request ended, within LONGEST_WAIT_S; None for those that nobody has tried."""
    from projectors import parked

    until_s = time.monotonic() + LONGEST_WAIT_S
    while None in (found := parked.find_answers(db, wanted)).values() and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
    return found


def _say(results: Sequence[dict[str, Any]], as_json: bool, *, code: int) -> int:
    for seen in results:
        words = seen["result"] or f"nobody has tried within {LONGEST_WAIT_S:.0f} s: is its consumer running?"
        click.echo(json.dumps(seen) if as_json else f"{line(seen)}  ->  {words}")
    return code
