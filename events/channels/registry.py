"""The channels, one line each. Adding one is one file beside this and one line here."""

from events.channels.cabinet import translate_cabinet
from events.channels.channel import Channel, Intake
from events.channels.chat import translate_chat
from events.channels.complaint import translate_complaint
from events.channels.letter import translate_letter, translate_letter_json
from events.channels.phone import translate_phone
from events.envelope import Fact

__all__ = ["BY_NAME", "CHANNELS", "translate", "translate_letter"]

CHANNELS: tuple[Channel, ...] = (
    Channel("phone", translate_phone),
    Channel("chat", translate_chat),
    Channel("email", translate_letter_json, translate_letter),
    Channel("cabinet", translate_cabinet),
    Channel("complaint", translate_complaint),
)
BY_NAME = {channel.name: channel for channel in CHANNELS}


def translate(channel: str, document: object, intake: Intake) -> tuple[Fact, ...]:
    """Return the facts of a parsed JSON document; Rejected when it breaks the format, KeyError for a channel that is none."""
    return BY_NAME[channel].from_json(document, intake)
