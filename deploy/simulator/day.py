"""A believable day at a small scale, from a seed: who turns to the hotline when, through which channel, and what becomes of it.

Pure: the same seed, number of contacts, date and canaries give the same bytes. Peaks as R272 and R273 tell them; at 10:40 the portal fails
and many ring at once (R162-R179); some ring again (R277); adapters repeat what was not answered in time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from deploy.simulator.planting import plant
from deploy.simulator.script import LETTER, Canaries, Day, Message, Planned, Step
from deploy.simulator.stories.calls import tell_call
from deploy.simulator.stories.chances import Dice
from deploy.simulator.stories.chats import tell_chat
from deploy.simulator.stories.forms import tell_complaint, tell_complaint_by_phone, tell_form
from deploy.simulator.stories.letters import redelivered, tell_letter
from deploy.simulator.stories.orders import tell_orders
from deploy.simulator.stories.people import Person, make_person
from deploy.simulator.stories.scene import Scene
from deploy.simulator.stories.texts import FAILURE, load

DAY_S = 86_400.0
AN_ORDINARY_FRIDAY = date(2025, 3, 14)
_HOUR_S = 3600.0
_FAILURE_AT_S, _FAILURE_LASTS_S = 10.67 * _HOUR_S, 1500.0
_FAILURE_PERCENT, _AGAIN_PERCENT, _REPEATED_PERCENT, _NAMED_PERCENT = 6, 8, 3, 15
_LONGEST_REPEAT_S = 900.0

# Contacts by hour of the day, of which 12 to 13 and 16 to 18 are the worst (R268-R274).
_HOURS = (6, 5, 4, 4, 6, 10, 18, 30, 45, 58, 62, 66, 92, 64, 55, 58, 88, 90, 58, 48, 38, 28, 18, 10)
_CHANNELS = {"phone": 55, "chat": 18, "email": 12, "cabinet": 10, "complaint": 3, "complaint_by_phone": 2}
_LANGUAGES = {"ru": 84, "tt": 8, "en": 8}
_OFFSETS_MIN = {180: 78, 300: 14, 420: 5, 600: 3}  # of the adapters' own clocks
_OPERATORS = 30

Tell = Callable[[Scene], None]
_STORIES: Mapping[str, Tell] = {
    "phone": tell_call,
    "chat": tell_chat,
    "email": tell_letter,
    "cabinet": tell_form,
    "complaint": tell_complaint,
    "complaint_by_phone": tell_complaint_by_phone,
}


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A contact that has a ticket, and who it was."""

    at_s: float
    contact: str
    person: Person


def day(seed: int, contacts: int, canaries: Canaries | None = None, on: date = AN_ORDINARY_FRIDAY, run: str = "") -> Day:
    """Return the day of `contacts` contacts on the date `on`; `canaries` are planted into one contact of every channel.

    `run`, up to 20 letters and digits, stands in all own ids: the same story under another one is another day to the hotline, no repeat.
    """
    steps: list[Step] = []
    planned: dict[str, Planned] = {}
    callers: list[_Earlier] = []
    for index, at_s in enumerate(_beginnings(Dice(seed, "clock"), contacts)):
        scene, story = _scene(Dice(seed, index), index, at_s, on, f"{on:%Y%m%d}-{seed}{run and '-'}{run}")
        _tell(scene, story, callers)
        planned[scene.name] = scene.planned()
        steps += scene.steps
    if canaries:
        steps = plant(canaries, steps, planned)
    ordered = sorted([*steps, *_repeats(Dice(seed, "repeats"), steps)], key=lambda step: step.at_s)
    return Day(seed, on, planned, tuple(ordered))


def _beginnings(dice: Dice, contacts: int) -> list[float]:
    """Moments at which contacts begin, in order."""
    hours = {hour: float(weight) for hour, weight in enumerate(_HOURS)}
    in_failure = contacts * _FAILURE_PERCENT // 100
    ordinary = [(dice.by_weight(hours) + dice.span_s(0, 1)) * _HOUR_S for _ in range(contacts - in_failure)]
    return sorted([*ordinary, *(_FAILURE_AT_S + dice.span_s(0, _FAILURE_LASTS_S) for _ in range(in_failure))])


def _scene(dice: Dice, index: int, at_s: float, on: date, mark: str) -> tuple[Scene, str]:
    fails = _FAILURE_AT_S <= at_s < _FAILURE_AT_S + _FAILURE_LASTS_S and dice.happens(80)
    story = "phone" if fails and dice.happens(75) else dice.by_weight(_CHANNELS)
    channel = "phone" if story == "complaint_by_phone" else story
    language = dice.by_weight(_LANGUAGES)
    texts = load(language)
    scene = Scene(
        dice=dice,
        on=on,
        name=f"{channel}-{index:05}",
        own_id=f"{mark}-{index:05}",
        channel=channel,
        now_s=at_s,
        person=make_person(dice, language),
        texts=texts,
        theme=texts.themes[FAILURE] if fails else texts.theme(dice),
        operator=f"op-{dice.between(1, _OPERATORS):02}",
        offset_min=dice.by_weight(_OFFSETS_MIN),
    )
    return scene, story


def _tell(scene: Scene, story: str, callers: list[_Earlier]) -> None:
    earlier = [one for one in callers[-200:] if one.at_s < scene.now_s]
    if story == "phone" and earlier and scene.dice.happens(_AGAIN_PERCENT):
        again = scene.dice.one_of(earlier)
        scene.person, scene.texts = again.person, load(again.person.language)
        scene.theme = scene.texts.themes.get(scene.theme.code) or scene.texts.theme(scene.dice)
        tell_call(scene, again.contact)
    elif story == "complaint" and earlier and scene.dice.happens(_NAMED_PERCENT):
        tell_complaint(scene, scene.dice.one_of(earlier).contact)
    else:
        _STORIES[story](scene)
    tell_orders(scene)
    if scene.tickets and story == "phone":
        told_s = max(step.at_s for step in scene.steps if isinstance(step, Message))
        callers.append(_Earlier(told_s + _HOUR_S / 2, scene.name, scene.person))


def _repeats(dice: Dice, steps: list[Step]) -> Iterator[Step]:
    """Adapters repeat what they had no answer to: the same bytes, a letter with another trace of its way."""
    for step in steps:
        if isinstance(step, Message) and not step.repeat and step.number_of is None and dice.happens(_REPEATED_PERCENT):
            body = redelivered(step.body, dice.between(100000, 999999)) if step.media_type == LETTER else step.body
            yield replace(step, at_s=step.at_s + dice.span_s(1, _LONGEST_REPEAT_S), body=body, repeat=True)
