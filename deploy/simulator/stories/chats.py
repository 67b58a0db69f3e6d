"""Stories of online chats: several topics in one, screenshots and links, operators' answers, windows closed without a word (R41-R53)."""

import base64

from deploy.simulator.stories.scene import Scene, kept
from deploy.simulator.stories.texts import Theme

_PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
_SHOTS = {"ru": "снимок экрана.png", "en": "screenshot.png", "tt": "экран рәсеме.png"}
_LINKS = ("https://example.org/help/sign-in", "https://example.org/help/documents", "https://example.org/faq")
_ENDINGS = {"by_citizen": 55, "by_operator": 25, "silence": 17, "failed": 3}


def tell_chat(scene: Scene) -> None:
    """Tell a chat from its opening to its end."""
    chat = _Chat(scene)
    chat.opens()
    if scene.dice.happens(4):
        scene.wait(60, 300)
        chat.closes("silence")
        return
    chat.asks(scene.theme)
    if scene.dice.happens(12):
        chat.clarifies()
    if scene.dice.happens(15):
        chat.asks(scene.texts.theme(scene.dice))
    if scene.dice.happens(60):
        chat.is_noted()
    chat.closes(scene.dice.by_weight(_ENDINGS))


class _Chat:
    """What happens in one window."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def _send(self, event: str, word: str, clear: dict[str, str | bytes], **said: object) -> None:
        scene = self._scene
        told = {"event": word, "chat": scene.own_id, "id": scene.next_id("m"), "occurred_at": scene.moment(), **said}
        scene.send(event, told, clear)

    def _writes(self, author: str, text: str, **said: object) -> None:
        self._send("ChatMessagePosted", "message", {"text": text}, **{"from": author, "text": text, **said})

    @property
    def _agent(self) -> str:
        return f"operator:{self._scene.operator}"

    def opens(self) -> None:
        scene = self._scene
        named = scene.person.name if scene.dice.happens(70) else ""
        self._send("ChatOpened", "opened", dict(kept(name=named)), language=scene.person.language, **kept(name=named))
        scene.wait(5, 60)

    def asks(self, theme: Theme) -> None:
        """One topic: asked, answered, perhaps shown. A later one names its ordinal and so opens a ticket of its own (R43)."""
        scene = self._scene
        scene.tickets += 1
        said = {"ordinal": scene.tickets} if scene.tickets > 1 else {}
        words = (
            f"{scene.phrase('greetings')} {scene.asked()}"
            if scene.tickets == 1
            else scene.texts.fill(theme.asks[0], scene.dice, scene.person.city)
        )
        self._writes("citizen", words, language=scene.person.language, **said)
        scene.wait(20, 180)
        self._writes(self._agent, scene.phrase("welcomes"))
        if scene.dice.happens(25):
            self._shows()
        scene.wait(30, 240)
        self._writes(self._agent, scene.answered(), **said)
        if scene.dice.happens(20):
            link = scene.dice.one_of(_LINKS)
            self._send("ChatFileOffered", "file", {"link": link}, **{"from": self._agent, "link": link})
        scene.wait(10, 90)
        self._writes("citizen", scene.phrase("thanks"), **said)

    def _shows(self) -> None:
        scene = self._scene
        scene.wait(20, 60)
        name, picture = _SHOTS[scene.person.language], _PIXEL + scene.dice.content(200, 1200)
        said = {"name": name, "media_type": "image/png", "content_base64": base64.b64encode(picture).decode()}
        self._send("ChatFileOffered", "file", {"file:1": picture, "name": name}, **{"from": "citizen", **said})

    def clarifies(self) -> None:
        """The operator asks for what is missing and the citizen's next words are the answer."""
        scene = self._scene
        scene.wait(20, 60)
        scene.order("take", queue="chat")
        scene.wait(10, 40)
        scene.order("ask_clarification", question=scene.phrase("questions"))
        scene.wait(60, 200)
        self._writes("citizen", scene.phrase("clarifications"), ordinal=1)
        scene.wait(20, 60)

    def is_noted(self) -> None:
        scene = self._scene
        words = kept(text=scene.dice.one_of(scene.theme.notes), name=scene.person.name, phone=scene.person.phone)
        told: dict[str, object] = {
            "event": "noted",
            "chat": scene.own_id,
            "id": scene.next_id("note"),
            "operator": scene.operator,
            "occurred_at": scene.moment(),
        }
        told |= {"disposition": "completed", "ordinal": 1, "kind": scene.theme.kind, "topic": scene.theme.code}
        scene.send("ContactNoted", {**told, "language": scene.person.language, **words}, words, sender=scene.operator)

    def closes(self, ending: str) -> None:
        scene = self._scene
        scene.wait(5, 120)
        by = {"by_citizen": {"from": "citizen"}, "by_operator": {"from": self._agent}}.get(ending, {})
        self._send("ChatClosed", "closed", {}, ending=ending, **by)
