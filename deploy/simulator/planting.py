"""Plants canaries: values that nobody has, put into one contact of every channel, so that a search can tell whether they leak. Pure."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deploy.simulator.script import LETTER, Canaries, Clear, Message, Order, Planned, Step
from deploy.simulator.stories import mime

# In which field of which event which canary goes; "said" is text and address together.
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "CallStarted": {"phone": "phone"},
    "ContactNoted": {"name": "name", "phone": "phone", "email": "email", "text": "said"},
    "ChatOpened": {"name": "name"},
    "ChatMessagePosted": {"text": "said"},
    "CabinetRequestFiled": {"name": "name", "phone": "phone", "email": "email", "text": "said"},
    "ComplaintFiled": {"name": "name", "phone": "phone", "email": "email", "text": "said", "operator_name": "name"},
}


def plant(canaries: Canaries, steps: list[Step], planned: Mapping[str, Planned]) -> list[Step]:
    """Return the steps with canaries in the first message of each channel and kind that can carry them, and in one order with words."""
    planted: set[tuple[str, str]] = set()
    changed: list[Step] = []
    for step in steps:
        kind = (step.channel, step.event) if isinstance(step, Message) else ("", "order")
        if kind not in planted and _can_carry(step) and planned[step.contact].tickets:
            planted.add(kind)
            changed.append(_with(canaries, step))
        else:
            changed.append(step)
    return changed


def _can_carry(step: Step) -> bool:
    if isinstance(step, Order):
        return bool(step.clear) and step.expect == "decided" and not step.repeat
    return (step.event in _FIELDS or step.media_type == LETTER) and not step.repeat


def _with(canaries: Canaries, step: Step) -> Step:
    said = f"{canaries.text} {canaries.address}"
    if isinstance(step, Order):
        return replace(step, fields=dict(step.fields) | dict.fromkeys(step.clear, said))
    if step.media_type == LETTER:
        return _letter(canaries, step, said)
    values = {"name": canaries.name, "phone": canaries.phone, "email": canaries.email, "said": said}
    told: dict[str, Any] = json.loads(step.body)
    put = {field: values[what] for field, what in _FIELDS[step.event].items()}
    clear: dict[str, str | bytes] = {**step.clear, **put}
    if "files" in told:
        told["files"][0] |= {"name": canaries.name, "content_base64": base64.b64encode(said.encode()).decode()}
        clear |= {"file:1": said.encode(), "file_name:1": canaries.name}
    return replace(step, body=json.dumps({**told, **put}, ensure_ascii=False).encode(), clear=clear)


def _letter(canaries: Canaries, step: Message, said: str) -> Message:
    """A letter anew: everything in it is a canary."""
    kept = [line for line in step.body.decode("ascii", "ignore").split("\r\n") if line.lower().startswith(("date:", "message-id:"))]
    text = f"{said}\n{canaries.name}\n{canaries.phone}\n"
    file = mime.file_part(f"{canaries.name}.txt", "text/plain", said.encode())
    body = mime.multipart("mixed", "=_canary", (mime.text_part(text, "utf-8", "base64"), file))
    head = [f"From: {mime.mailbox(canaries.name, canaries.email, 'utf-8')}", f"Subject: {mime.words(canaries.text, 'utf-8')}", *kept[:2]]
    raw = mime.letter(head, body)
    clear: Clear = {
        "file:0": raw, "file:1": said.encode(), "file_name:1": f"{canaries.name}.txt", "sender": canaries.email, "name": canaries.name,
        "phone": canaries.phone, "subject": canaries.text, "text": text.rstrip("\n"),
    }  # fmt: skip
    return replace(step, body=raw, clear=clear)
