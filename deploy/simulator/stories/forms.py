"""Stories of written requests: the cabinet's form, and complaints about an operator by form, on paper and by phone (R54-R75, R292-R309)."""

import base64
from collections.abc import Mapping
from typing import Any

from deploy.simulator.script import NUMBER_OF, Clear
from deploy.simulator.stories.calls import tell_call
from deploy.simulator.stories.scene import Scene, kept

_CATEGORY = {"failure": "technical", "consultation": "procedure", "request": "procedure"}
_SERVICES = ("passport", "certificate", "registration", "benefits", "school", "taxes")
_WANTED = {"apology": 40, "review": 35, "compensation": 15, "other": 10}
_SIGNED = {"form": {"none": 40, "simple": 50, "qualified": 10}, "paper": {"handwritten": 97, "none": 3}}
_SCANS = {"ru": "скан паспорта.pdf", "en": "scan.pdf", "tt": "паспорт рәсеме.pdf"}
_OPERATORS_SAID = ("Сергей", "Марина", "Алина", "Тимур", "Ольга Викторовна")


def tell_form(scene: Scene) -> None:
    """Tell a form sent from the cabinet."""
    person, dice = scene.person, scene.dice
    text = f"{scene.phrase('greetings')} {scene.asked()} {scene.phrase('wishes')}"
    words = kept(
        name=person.name, phone=person.phone if dice.happens(85) else "", email=person.email if dice.happens(70) else "", text=text
    )
    files, clear = _files(scene, 35)
    category = "proposal" if dice.happens(5) else _CATEGORY[scene.theme.kind]
    told: dict[str, Any] = {"id": scene.own_id, "occurred_at": scene.moment(), "cabinet_id": person.cabinet_id, "category": category}
    told |= {"topic": scene.theme.code, "service": dice.one_of(_SERVICES), "reply_by": dice.by_weight({"cabinet": 70, "call": 30})}
    scene.send(
        "CabinetRequestFiled", {**told, "language": person.language, **words, **files}, {**words, **clear, "cabinet_id": person.cabinet_id}
    )
    scene.tickets = 1


def tell_complaint(scene: Scene, about: str | None = None) -> None:
    """Tell a complaint by form or on paper; `about` is the contact whose ticket it names."""
    by = scene.dice.by_weight({"form": 70, "paper": 30})
    told, clear = _complaint(scene, by)
    if about:
        told["about_ticket"] = NUMBER_OF.format(about)
    scene.send("ComplaintFiled", told, clear, number_of=about)
    scene.tickets = 1


def tell_complaint_by_phone(scene: Scene) -> None:
    """Tell a call that is a complaint: what is filed is a fact of the call's contact."""
    tell_call(scene, answered=True)
    scene.wait(30, 120)
    told, clear = _complaint(scene, "phone")
    scene.send("ComplaintFiled", told, clear, channel="complaint")


def _complaint(scene: Scene, by: str) -> tuple[dict[str, Any], dict[str, str | bytes]]:
    dice, person = scene.dice, scene.person
    violation = dice.one_of(sorted(scene.texts.complaints))
    text = scene.texts.fill(dice.one_of(scene.texts.complaints[violation]), dice, person.city)
    if by == "paper":
        text += f" {person.address}."
    phone = person.phone if by != "paper" or dice.happens(60) else ""
    email = person.email if by == "form" else ""
    words = kept(
        name=person.name, phone=phone, email=email, text=text, operator_name=dice.one_of(_OPERATORS_SAID) if dice.happens(60) else ""
    )
    told: dict[str, Any] = {"id": scene.next_id("complaint"), "occurred_at": scene.moment(), "by": by, "violation": violation}
    told |= {
        "wanted": dice.by_weight(_WANTED),
        "language": person.language,
        "call_at": scene.moment(scene.now_s - dice.between(3600, 259200)),
    }
    told |= {"call": scene.own_id} if by == "phone" else _signature(scene, by)
    if by != "form":
        told["taken_by"] = scene.operator
    files, clear = _files(scene, 100 if by == "paper" else 10)
    return {**told, **words, **files}, {**words, **clear}


def _signature(scene: Scene, by: str) -> dict[str, str]:
    kind = scene.dice.by_weight(_SIGNED[by])
    return {"signature_kind": kind} | ({"signed_on": scene.moment()[:10]} if kind != "none" else {})


def _files(scene: Scene, percent: int) -> tuple[Mapping[str, Any], Clear]:
    """Return the message's files with the given chance, and the same in clear."""
    if not scene.dice.happens(percent):
        return {}, {}
    name, content = _SCANS[scene.person.language], b"%PDF-1.7\n" + scene.dice.content(500, 4000)
    file = {"name": name, "media_type": "application/pdf", "content_base64": base64.b64encode(content).decode()}
    return {"files": [file]}, {"file:1": content, "file_name:1": name}
