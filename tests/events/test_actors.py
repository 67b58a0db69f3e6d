"""Ids of actors: one rule for tokens, channels and commands, and no phone number passes it."""

import pytest

from events.actors import is_actor_id


@pytest.mark.parametrize("text", ["op-17", "o", "A.b_c-9", "agent.123456", "17-a-2025", "x" * 40, "2025op2025", "123-456"])
def test_an_id_is_an_id(text: str) -> None:
    assert is_actor_id(text)


@pytest.mark.parametrize("text", [None, 17, "", "x" * 41, "Мария", "op 17", "op-17\n", "op/17", "operator:17", "１２"])
def test_what_is_no_id_is_refused(text: object) -> None:
    assert not is_actor_id(text)


@pytest.mark.parametrize(
    "text", ["1234567", "79161234567", "op1234567", "8-916-123-45-67", "8.800.555.35.35", "123-45-67", "id_7_9_1_6_1_2_3"]
)
def test_no_phone_number_is_an_id_however_it_is_written(text: str) -> None:
    assert not is_actor_id(text)
