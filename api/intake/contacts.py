"""`POST /v1/contacts/{channel}`: facts of a channel. All of a request is translated and may be taken before its first file is
stored, and all its files are stored before its first fact is published."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from prometheus_client import Counter

from api.access import Caller, needs
from api.intake.bodies import JSON, JSON_LINES, LETTER, content_type, parse_documents, read_body
from api.intake.forms import CONTACTS_ANSWERS, CONTACTS_BODY
from api.intake.held import HeldFiles
from api.intake.parts import Parts, out_of_keys, rejected
from api.intake.publishing import publish, trace_of
from api.problems import Problem
from events.catalogue import EVENT_TYPES
from events.channels.channel import Channel, Intake, Rejected
from events.channels.registry import BY_NAME
from events.envelope import Fact
from events.vault.files import StoreUnavailable
from events.vault.pool import PoolEmpty
from projectors.tokens import Token

INLINE_BYTES = 32_000  # a larger body, and every letter, is translated on a thread, so that others go on meanwhile
FACTS_TAKEN = Counter("hotline_intake_facts_total", "Facts that Kafka acknowledged to the intake.", ("channel",))
_TYPE_NAMES = {kind.event: kind.record_name for kind in EVENT_TYPES}

router = APIRouter(tags=["contacts"])


@router.post(
    "/v1/contacts/{channel}",
    status_code=202,
    summary="Take facts of a channel",
    response_class=Response,
    responses=dict(CONTACTS_ANSWERS),
    openapi_extra={"requestBody": CONTACTS_BODY},
)
async def take_contacts(
    channel: str, request: Request, caller: Annotated[Caller, Depends(needs("publish_contacts", "publish_as_self"))]
) -> Response:
    """Take one JSON object, an array of them, JSON lines, or for email one letter as it came.

    202 only when Kafka has acknowledged every fact. 4xx: nothing of the request was taken. 504: not known; repeat it unchanged, the event
    ids will be the same. An operator's token publishes only what names that operator as actor.
    """
    if channel not in BY_NAME:
        raise Problem.of("unknown-channel", known=list(BY_NAME))
    parts: Parts = request.app.state.parts
    way = BY_NAME[channel]
    kind = content_type(request, (JSON, JSON_LINES, LETTER) if way.from_bytes else (JSON, JSON_LINES))
    with parts.letters_room.enter() if kind == LETTER else parts.facts_room.enter():
        held = HeldFiles(parts.files)
        facts = await _read_facts(way, kind, request, parts, held)
        _require_own(caller, facts)
        await _store(held, parts)
        places = await publish(parts.publisher, facts, trace_of(request.headers.get("traceparent")))
    FACTS_TAKEN.labels(channel).inc(len(facts))
    position = Token.of(places).encode()
    body = orjson.dumps({"accepted": [_accepted(fact) for fact in facts], "position": position})
    return Response(body, 202, {"Position": position}, JSON)


async def _read_facts(way: Channel, kind: str, request: Request, parts: Parts, held: HeldFiles) -> list[Fact]:
    limits = parts.reference.limits
    if kind == LETTER:
        raw = await read_body(request, limits.letter_bytes, "letter_bytes")
    else:
        raw = await read_body(request, limits.json_bytes, "json_bytes")
    received_at_us = parts.clock_us()
    intake = Intake(identity=parts.identity(), sealer=parts.ring.sealer, files=held, received_at_us=received_at_us, limits=limits)
    translated = partial(_translate, way, kind, raw, limits.facts_per_request, intake)
    if kind != LETTER and len(raw) <= INLINE_BYTES:
        return translated()
    return await asyncio.get_running_loop().run_in_executor(parts.threads, translated)


async def _store(held: HeldFiles, parts: Parts) -> None:
    """Put the files of a request that may be taken on disk, on a thread; raise Problem 503."""
    if held.is_empty():
        return
    try:
        await asyncio.get_running_loop().run_in_executor(parts.threads, held.store)
    except StoreUnavailable:
        raise Problem.of("part-down", part="files", headers={"Retry-After": "5"}) from None


def _translate(way: Channel, kind: str, raw: bytes, most_facts: int, intake: Intake) -> list[Fact]:
    """Return the facts of a body; raise Problem for the first input that breaks its format."""
    try:
        if kind == LETTER and way.from_bytes:
            return list(way.from_bytes(raw, intake))
        facts = list(_translate_documents(way, parse_documents(raw, kind, most_facts), intake))
    except Rejected as found:
        raise rejected(found) from None
    except PoolEmpty as empty:
        raise out_of_keys(empty) from None
    if len(facts) > most_facts:
        raise Problem.of("too-large", limit="facts_per_request", limit_value=most_facts)
    return facts


def _translate_documents(way: Channel, documents: list[object], intake: Intake) -> Iterable[Fact]:
    for number, document in enumerate(documents, 1):
        try:
            yield from way.from_json(document, intake)
        except Rejected as found:
            raise rejected(found, message=number) from None


def _require_own(caller: Caller, facts: list[Fact]) -> None:
    if not caller.may("publish_contacts") and any(fact.actor != caller.actor for fact in facts):
        raise Problem.of("forbidden", detail="an operator publishes only what names that operator as actor")


def _accepted(fact: Fact) -> dict[str, str]:
    return {"event_id": fact.event_id.hex(), "type": _TYPE_NAMES[type(fact)], "contact_id": fact.contact_id.hex()}
