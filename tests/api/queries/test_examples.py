"""The examples in the description of the query application have the form of its real answers."""

from collections.abc import Callable
from typing import Any

from api.queries import examples
from tests.made import NUMBER, registered, taken

Ask = Callable[..., Any]


def _example(answer: Any) -> Any:
    return answer[200]["content"]["application/json"]["example"]


def _form(value: Any) -> Any:
    """Return names and nesting without values; what an event holds is the event's own."""
    if isinstance(value, dict):
        return {name: _form(inner) for name, inner in value.items() if name != "event"}
    return [_form(value[0])] if isinstance(value, list) and value else None


def test_examples_of_cards_and_histories_have_the_form_of_real_ones(follow: Callable[..., None], ask: Ask) -> None:
    follow(registered(has_name=True, name=b"\1"), taken(2))

    card, cards, history = (ask(f"/v1/tickets{rest}").json() for rest in (f"/{NUMBER}", "", f"/{NUMBER}/history"))

    assert _form(card) == _form(_example(examples.CARD_ANSWER))
    assert _form(cards) == _form(_example(examples.CARDS_ANSWER))
    assert _form(history) == _form(_example(examples.HISTORY_ANSWER))
