"""Stories of telephone calls: answered, abandoned, handed on, noted, recorded; told in the right order and in others (R1-R22, R334)."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deploy.simulator.script import ADAPTER, NUMBER_OF, Clear, Message
from deploy.simulator.stories.scene import Scene, kept

_LINES: Mapping[str, Mapping[str, float]] = {
    "ru": {"federal": 80, "abroad.general": 4, "business.large": 3, "business.medium": 4, "business.small": 7, "abroad.technical": 2},
    "tt": {"federal": 97, "business.small": 3},
    "en": {"abroad.english": 80, "abroad.technical": 10, "federal": 10},
}
_HOW = {"answered": 86, "abandoned": 8, "overflow": 3, "nuisance": 3}
_TOLD = {"in_order": 80, "ended_first": 8, "started_last": 5, "twice": 7}
_QUEUES = ("consultation", "account_access", "technical", "documents")
_COUNTRIES = {"ru": "RU", "tt": "RU", "en": "GB"}


def tell_call(scene: Scene, earlier: str | None = None, *, answered: bool = False) -> None:
    """Tell a call, with `answered` one that is. With `earlier`, the caller has rung before and the operator finds that ticket."""
    how = "answered" if earlier or answered else scene.dice.by_weight(_HOW)
    call = _Call(scene)
    call.starts()
    if how in ("abandoned", "overflow"):
        call.gives_up(how)
    else:
        call.is_talked(how, earlier)
    call.tell(scene.dice.by_weight(_TOLD) if how == "answered" and not earlier else "in_order")


@dataclass(frozen=True, slots=True)
class _Report:
    """One step of a call at the moment at which it is told."""

    at_s: float
    event: str
    told: Mapping[str, Any] = field(repr=False)
    clear: Clear = field(repr=False)
    sender: str = ADAPTER
    earlier: str | None = None
    repeat: bool = False


class _Call:
    """The steps of one call at their own moments; in which order they are told is decided at the end."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._exchange: list[_Report] = []
        self._notes: list[_Report] = []
        self._withheld = scene.dice.happens(4)

    def _happens(self, event: str, word: str, clear: Clear, **said: Any) -> None:
        told = {"event": word, "call": self._scene.own_id, "occurred_at": self._scene.moment(), **said}
        self._exchange.append(_Report(self._scene.now_s, event, told, clear))

    def starts(self) -> None:
        scene = self._scene
        phone = "" if self._withheld else scene.person.phone
        chosen = scene.person.language if scene.dice.happens(60) else ""
        line = scene.dice.by_weight(_LINES[scene.person.language])
        said = kept(phone=phone, country="" if self._withheld else _COUNTRIES[scene.person.language], language=chosen)
        self._happens("CallStarted", "started", kept(phone=phone), line=line, **said)

    def gives_up(self, ending: str) -> None:
        waited = self._scene.dice.between(20, 240)
        self._scene.now_s += waited
        self._happens("CallEnded", "ended", {}, ending=ending, wait_s=waited, talk_s=0)

    def is_talked(self, how: str, earlier: str | None) -> None:
        scene = self._scene
        waited = scene.dice.between(3, 120)
        scene.now_s += waited
        self._happens("CallAnswered", "answered", {}, queue=scene.dice.one_of(_QUEUES), operator=scene.operator)
        if how == "answered" and (scene.person.language == "en" or scene.dice.happens(10)):
            self._is_handed_on()
        talked = scene.dice.between(45, 600)
        scene.now_s += talked * 0.8
        if how == "nuisance":
            self._note("nuisance", {}, None)
        elif earlier:
            self._note("belongs_to", kept(text=scene.phrase("chasers")), earlier)
        elif scene.dice.happens(75):
            self._note(scene.dice.by_weight({"registered": 45, "completed": 55}), self._written_down(), None)
        scene.now_s += talked * 0.2
        self._happens("CallEnded", "ended", {}, ending="completed", wait_s=waited, talk_s=talked)
        if scene.dice.happens(60):
            self._is_recorded(talked)
        scene.tickets = 1 if how == "answered" and not earlier else 0

    def _is_handed_on(self) -> None:
        scene = self._scene
        scene.wait(10, 60)
        kind = "queue" if scene.person.language == "en" else scene.dice.by_weight({"queue": 60, "operator": 25, "outside": 15})
        target = {"queue": "english", "operator": "op-senior", "outside": "agency.tax"}[kind]
        if kind == "queue" and scene.person.language != "en":
            target = scene.dice.one_of(_QUEUES)
        self._happens("CallTransferred", "transferred", {}, target_kind=kind, target=target, operator=scene.operator)

    def _written_down(self) -> dict[str, str]:
        scene = self._scene
        text = f"{scene.dice.one_of(scene.theme.notes)} {scene.asked()}"
        if scene.dice.happens(30):
            text += f" Адрес: {scene.person.address}."
        said = {"text": text, "name": scene.person.name, "phone": scene.person.phone}
        return said | ({"email": scene.person.email} if scene.dice.happens(40) else {})

    def _note(self, disposition: str, words: dict[str, str], earlier: str | None) -> None:
        scene = self._scene
        told: dict[str, Any] = {"event": "noted", "call": scene.own_id, "id": scene.next_id("note"), "operator": scene.operator}
        told |= {"occurred_at": scene.moment(), "disposition": disposition, **words}
        if earlier:
            told["ticket"] = NUMBER_OF.format(earlier)
        elif disposition != "nuisance":
            told |= {"kind": scene.theme.kind, "topic": scene.theme.code, "language": scene.person.language}
        self._notes.append(_Report(scene.now_s, "ContactNoted", told, words, scene.operator, earlier))

    def _is_recorded(self, talked_s: int) -> None:
        scene = self._scene
        scene.wait(2, 30)
        sound = b"OggS\x00\x02" + scene.dice.content(600, 3000)
        said = {"duration_s": talked_s, "media_type": "audio/ogg", "content_base64": base64.b64encode(sound).decode()}
        self._happens("RecordingStored", "recording_stored", {"file:1": sound}, **said)

    def tell(self, order: str) -> None:
        """Add the steps to the scene: notes at their moments, the exchange's reports in `order`, each when it happened or later."""
        ended = next(report for report in self._exchange if report.event == "CallEnded")
        reports = [replace(report, at_s=_told_at_s(report, order, ended.at_s)) for report in self._exchange]
        if order == "twice":  # the call record tells the end once more, in other words
            started = self._exchange[0].told["occurred_at"]
            reports.append(replace(ended, at_s=ended.at_s + 60, told={**ended.told, "connected_at": started}, repeat=True))
        scene = self._scene
        for r in (*reports, *self._notes):
            body = json.dumps(r.told, ensure_ascii=False).encode()
            scene.steps.append(
                Message(r.at_s, scene.name, "phone", r.event, r.sender, body, clear=r.clear, number_of=r.earlier, repeat=r.repeat)
            )
        scene.now_s = max(step.at_s for step in scene.steps)


def _told_at_s(report: _Report, order: str, ended_s: float) -> float:
    if order == "ended_first" and report.event != "CallEnded":
        return max(report.at_s, ended_s + 1)
    if order == "started_last" and report.event == "CallStarted":
        return ended_s + 120
    return report.at_s
