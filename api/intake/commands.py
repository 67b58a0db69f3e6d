"""`POST /v1/commands`: what an operator asks of a ticket, and the desk's answer if it comes in time."""

import re
from datetime import datetime
from time import monotonic
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from prometheus_client import Counter

from api.access import Caller, needs
from api.intake.bodies import JSON, content_type, parse_object, read_body
from api.intake.forms import COMMANDS_ANSWERS, COMMANDS_BODY
from api.intake.parts import Parts, out_of_keys, rejected
from api.intake.publishing import publish, trace_of
from api.intake.words import IDEMPOTENCY_KEY_PATTERN, Asking, translate_command
from api.problems import Problem
from events.channels.channel import Rejected
from events.envelope import TICKETS, Command
from events.places import Place
from events.vault.pool import PoolEmpty
from projectors.audit_log import AuditRow
from projectors.outcomes import OutcomeRow
from projectors.showing import rfc3339
from projectors.tokens import Token

WAIT_MS, LONGEST_WAIT_MS = 2_000, 10_000
UNSEEN_WAIT_S = 1.0
COMMANDS_ANSWERED = Counter("hotline_intake_commands_total", "Commands on Kafka, by what the desk answered in time.", ("result",))
_KEY = re.compile(IDEMPOTENCY_KEY_PATTERN, re.ASCII)
_MINUTE_S = 60

router = APIRouter(tags=["commands"])


class Answer(NamedTuple):
    """What the caller of a command hears: a status of HTTP and a document."""

    status: int
    document: dict[str, Any]


@router.post(
    "/v1/commands",
    summary="Ask something of a ticket",
    response_class=Response,
    responses=dict(COMMANDS_ANSWERS),
    openapi_extra={"requestBody": COMMANDS_BODY},
)
async def take_command(
    request: Request,
    caller: Annotated[Caller, Depends(needs("command"))],
    idempotency_key: Annotated[str, Header()] = "",
    wait_ms: Annotated[int, Query(ge=0, le=LONGEST_WAIT_MS)] = WAIT_MS,
) -> Response:
    """Take a command and wait for the desk.

    200: decided. 202: published, not yet decided. 409: the ticket has moved on. 422: a rule refuses, or the form is
    broken. The header Idempotency-Key makes a repeat harmless: it is answered as the first was.
    """
    parts: Parts = request.app.state.parts
    with parts.commands_room.enter():
        content_type(request, (JSON,))
        document = parse_object(await read_body(request, parts.reference.limits.json_bytes, "json_bytes"))
        command = command_of(document, caller.actor, idempotency_key, parts)
        answer = await ask(parts, command, wait_ms / 1000, trace_of(request.headers.get("traceparent")))
    return Response(orjson.dumps(answer.document), answer.status, {"Position": answer.document["position"]}, JSON)


def command_of(document: object, actor: str, idempotency_key: str, parts: Parts) -> Command:
    """Return the command that `document` asks for; raise Problem."""
    if _KEY.fullmatch(idempotency_key) is None:
        rule = "pattern" if idempotency_key else "missing"
        raise Problem.of("broken-rule", field="Idempotency-Key", rule=rule, detail="1 to 200 of A-Z a-z 0-9 . _ : -")
    now_us = parts.clock_us()
    offset = datetime.fromtimestamp(now_us / 1_000_000, parts.reference.service_zone).utcoffset()
    asking = Asking(
        actor=actor,
        idempotency_key=idempotency_key,
        now_us=now_us,
        offset_min=int(offset.total_seconds()) // _MINUTE_S if offset else 0,
        identity=parts.identity(),
        sealer=parts.ring.sealer,
        text_limit_bytes=parts.reference.limits.text_in_event_bytes,
    )
    try:
        return translate_command(document, asking)
    except Rejected as found:
        raise rejected(found) from None
    except PoolEmpty as empty:
        raise out_of_keys(empty) from None


async def ask(parts: Parts, command: Command, wait_s: float, traceparent: str) -> Answer:
    """Publish a command and wait for its outcome, at most `wait_s`; raise Problem 409 or 422 when the desk refuses."""
    until = monotonic() + wait_s
    (place,) = await publish(parts.publisher, [command], traceparent)
    outcome = await parts.watch.wait_for(place, wait_s)
    if outcome is not None and outcome.result == "duplicate" and outcome.first is not None:
        outcome = await parts.watch.wait_for(outcome.first, max(0.0, until - monotonic()))
    COMMANDS_ANSWERED.labels(outcome.result if outcome else "not_in_time").inc()
    if outcome is not None and outcome.result == "refused":
        raise await _refusal(parts, command, outcome)
    return answer_to(command, place, outcome)


def answer_to(command: Command, place: Place, outcome: OutcomeRow | None) -> Answer:
    """Return what the caller hears of a command that was not refused."""
    if outcome is None or outcome.result not in ("decided", "no_change"):
        waiting = {"state": outcome.result} if outcome else {}
        return Answer(202, {"position": Token.of([place]).encode(), **waiting})
    reached = [Place(TICKETS, decision["partition"], decision["offset"]) for decision in outcome.decisions]
    own = [decision["version"] for decision in outcome.decisions if decision["number"] == command.target]
    version = max(own, default=outcome.ticket_version)
    return Answer(200, {"decisions": outcome.decisions, "version": version, "position": Token.of(reached or [place]).encode()})


async def _refusal(parts: Parts, command: Command, outcome: OutcomeRow) -> Problem:
    seen, now = command.expected_version, outcome.ticket_version
    if outcome.rule != "stale_version" or seen is None:
        return Problem.of("refused", rule=outcome.rule, detail=outcome.detail or None, version=now)
    rows = await parts.watch.unseen(command.target, seen, now, UNSEEN_WAIT_S) if now is not None and now > seen else []
    return Problem.of("stale-version", rule=outcome.rule, detail=outcome.detail or None, version=now, events=[_unseen(row) for row in rows])


def _unseen(row: AuditRow) -> dict[str, Any]:
    recorded = rfc3339(row.recorded_at) if row.recorded_at is not None else None
    place = {"partition": row.partition, "offset": row.offset}
    event_id = row.event_id.hex() if row.event_id else None
    return {"version": row.version, "type": row.type, "actor": row.actor, "recorded_at": recorded, "event_id": event_id, **place}
