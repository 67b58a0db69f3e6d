"""Online chat: one JSON message for each thing that happens in the chat window (R41-R53).

`chat` names the contact, `id` the message; the same id with the same body is the same event. `from` is `citizen` or `operator:ID`. A chat
may hold several tickets: `ordinal` says which one a message is about, without it the one opened last (R43). A file comes as
`content_base64`, or as a `link`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from events.channels.channel import CITIZEN, Intake, Rejected
from events.channels.notes import Noted, note_fact
from events.channels.people import Sealing, known_media_type
from events.channels.words import (
    Author,
    Content,
    Format,
    Language,
    Link,
    MediaType,
    Name,
    Ordinal,
    OwnId,
    Said,
    Told,
    canonical,
    read_tagged,
)
from events.chats import ChatClosed, ChatFileOffered, ChatMessagePosted, ChatOpened
from events.envelope import Fact

CHANNEL = "chat"
WINDOW = "process:chat"


class Line(Format):
    """What every message of a chat says."""

    event: str
    chat: OwnId
    id: OwnId
    occurred_at: Told


class Opened(Line):
    """The citizen opened the window."""

    event: Literal["opened"]
    language: Language = ""
    name: Name = ""


class Message(Line):
    """Somebody wrote."""

    event: Literal["message"]
    author: Annotated[Author, Field(alias="from")]
    text: Said
    language: Language = ""
    ordinal: Ordinal | None = None


class File(Line):
    """Somebody handed over a file or a link (R44)."""

    event: Literal["file"]
    author: Annotated[Author, Field(alias="from")]
    content_base64: Content | None = None
    media_type: MediaType = ""
    name: Name = ""
    link: Link | None = None
    ordinal: Ordinal | None = None


class Closed(Line):
    """The window was closed."""

    event: Literal["closed"]
    ending: Literal["by_citizen", "by_operator", "silence", "failed"]
    author: Annotated[Author | None, Field(alias="from")] = None


class ChatNoted(Noted):
    """What the operator wrote down during the chat."""

    chat: OwnId


FORMS: dict[str, type[Format]] = {"opened": Opened, "message": Message, "file": File, "closed": Closed, "noted": ChatNoted}


def translate_chat(document: object, intake: Intake) -> tuple[Fact, ...]:
    """Return the fact that a message of the chat tells; Rejected when it breaks the format."""
    message = read_tagged(document, "event", FORMS)
    if isinstance(message, ChatNoted):
        return (note_fact(message, CHANNEL, intake.identity.contact_id(CHANNEL, message.chat), document, intake),)
    assert isinstance(message, Line)
    contact_id = intake.identity.contact_id(CHANNEL, message.chat)
    event_id = intake.identity.event_id(CHANNEL, message.id, canonical(document), time_us=message.occurred_at.us)
    envelope = {
        "event_id": event_id,
        "occurred_at": message.occurred_at.us,
        "occurred_offset_min": message.occurred_at.offset_min,
        "received_at": intake.received_at_us,
        "contact_id": contact_id,
        "channel": CHANNEL,
    }
    return (_fact(message, envelope, Sealing(intake, contact_id, event_id)),)


def _fact(line: Line, envelope: dict[str, Any], sealing: Sealing) -> Fact:
    match line:
        case Opened():
            name = sealing.words("name", line.name)
            return ChatOpened(**envelope, actor=CITIZEN, language=line.language, has_name=name is not None, name=name)
        case Message():
            return ChatMessagePosted(
                **envelope,
                actor=line.author,
                ordinal=line.ordinal,
                language=line.language,
                size_chars=len(line.text),
                text=sealing.needed("text", line.text),
            )
        case File():
            return _file(line, envelope, sealing)
        case Closed():
            by_citizen = line.ending == "by_citizen"
            return ChatClosed(**envelope, actor=line.author or (CITIZEN if by_citizen else WINDOW), ending=line.ending)
    raise Rejected("event", "unknown_word")


def _file(line: File, envelope: dict[str, Any], sealing: Sealing) -> ChatFileOffered:
    if (line.content_base64 is None) == (line.link is None):
        raise Rejected("content_base64", "one_of_two", "either content_base64 or link")
    content = line.content_base64
    return ChatFileOffered(
        **envelope,
        actor=line.author,
        ordinal=line.ordinal,
        media_type=known_media_type(line.media_type) if content else "",
        size_bytes=len(content) if content else 0,
        digest=sealing.file(1, content) if content else None,
        name=sealing.words("name", line.name),
        link=sealing.words("link", line.link) if line.link else None,
    )
