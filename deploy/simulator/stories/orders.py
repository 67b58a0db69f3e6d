"""What operators do with tickets during a day: a table of short stories, right ones and wrong ones (R122-R128, G9-G11)."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from deploy.simulator.script import Order
from deploy.simulator.stories.scene import Scene

_REASONS = ("documents.incomplete", "details.differ", "document.expired", "not.our.competence")
_ROUTES = ("pretrial_complaint", "court", "higher_body")
_QUEUES = ("consultation", "account_access", "technical", "documents")
NO_SUCH_NUMBER = "RU-2001-999999"


def tell_orders(scene: Scene) -> None:
    """Let operators work on the first ticket of this contact, or leave it for tomorrow."""
    if scene.tickets and not any(isinstance(step, Order) for step in scene.steps):
        STORIES[scene.dice.by_weight(_HOW_OFTEN)](scene)


def _take(scene: Scene) -> None:
    scene.wait(60, 600)
    scene.order("take", queue=scene.dice.one_of(_QUEUES))
    scene.wait(120, 1200)


def _approve(scene: Scene) -> None:
    scene.order("approve", next_steps=scene.phrase("next_steps"))
    scene.wait(120, 1200)


def _refuse(scene: Scene) -> None:
    scene.order(
        "refuse",
        reason_code=scene.dice.one_of(_REASONS),
        appeal_route=scene.dice.one_of(_ROUTES),
        explanation=scene.phrase("explanations"),
    )
    scene.wait(120, 1200)


def _close(scene: Scene) -> None:
    scene.order("close", resolution_code=scene.dice.one_of(("solved", "explained")), explanation=scene.phrase("closings"))
    scene.wait(300, 1800)


def _left_for_tomorrow(_: Scene) -> None:
    pass


def _only_taken(scene: Scene) -> None:
    _take(scene)


def _solved(scene: Scene) -> None:
    _take(scene)
    _close(scene)


def _granted(scene: Scene) -> None:
    _take(scene)
    _approve(scene)
    if scene.dice.happens(60):
        _close(scene)


def _declined(scene: Scene) -> None:
    _take(scene)
    _refuse(scene)
    if scene.dice.happens(30):
        _close(scene)


def _reopened(scene: Scene) -> None:
    _solved(scene)
    scene.order("reopen", reason_code="question.new", explanation=scene.phrase("reopenings"))
    scene.wait(300, 1200)
    if scene.dice.happens(70):
        _close(scene)


def _asked_back(scene: Scene) -> None:
    """The citizen answers by phone, so the specialist takes the ticket again."""
    _take(scene)
    scene.order("ask_clarification", question=scene.phrase("questions"))
    scene.wait(600, 3600)
    _take(scene)
    _approve(scene)


def _two_at_once(scene: Scene) -> None:
    """Another operator still sees the ticket as it was: hears that it has moved on, looks again and goes on from there."""
    _take(scene)
    scene.order(
        "refuse",
        against="stale",
        expect="stale_version",
        reason_code=_REASONS[0],
        appeal_route=_ROUTES[0],
        explanation=scene.phrase("explanations"),
    )
    scene.wait(60, 300)
    _approve(scene)


def _too_early(scene: Scene) -> None:
    """Nobody works on it yet: neither approved nor closed can it be."""
    scene.wait(60, 600)
    if scene.dice.happens(50):
        scene.order("approve", expect="not_in_this_status", next_steps=scene.phrase("next_steps"))
    else:
        scene.order("close", expect="not_in_this_status", resolution_code="solved")


def _taken_twice(scene: Scene) -> None:
    _take(scene)
    scene.order("take", against="none", expect="not_in_this_status", queue=scene.dice.one_of(_QUEUES))


def _pressed_twice(scene: Scene) -> None:
    """The screen repeats the same command: the answer is that of the first."""
    scene.wait(60, 600)
    first = scene.order("take", queue=scene.dice.one_of(_QUEUES), against="none")
    scene.wait(1, 5)
    scene.steps.append(replace(first, at_s=scene.now_s, repeat=True))


def _key_used_again(scene: Scene) -> None:
    """A screen with a fault sends other words under the same key."""
    scene.wait(60, 600)
    first = scene.order("take", queue=_QUEUES[0], against="none")
    scene.wait(5, 50)
    scene.steps.append(replace(first, at_s=scene.now_s, fields={"queue": _QUEUES[1]}, expect="idempotency_key_reused"))


def _mistyped(scene: Scene) -> None:
    """The operator mistypes the number."""
    scene.wait(60, 600)
    first = scene.order("take", queue=_QUEUES[0], against="none", expect="unknown_ticket")
    scene.steps[-1] = replace(first, unknown_number=NO_SUCH_NUMBER)


STORIES: Mapping[str, Callable[[Scene], None]] = {
    "left_for_tomorrow": _left_for_tomorrow,
    "only_taken": _only_taken,
    "solved": _solved,
    "granted": _granted,
    "declined": _declined,
    "reopened": _reopened,
    "asked_back": _asked_back,
    "two_at_once": _two_at_once,
    "too_early": _too_early,
    "taken_twice": _taken_twice,
    "pressed_twice": _pressed_twice,
    "key_used_again": _key_used_again,
    "mistyped": _mistyped,
}

_HOW_OFTEN: Mapping[str, float] = {
    "left_for_tomorrow": 36,
    "only_taken": 14,
    "solved": 18,
    "granted": 10,
    "declined": 6,
    "reopened": 2,
    "asked_back": 2.5,
    "two_at_once": 2,
    "too_early": 2,
    "taken_twice": 2,
    "pressed_twice": 2,
    "key_used_again": 1,
    "mistyped": 1.5,
}
