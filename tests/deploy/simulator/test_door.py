"""A patient client: what it repeats, and when it stops."""

import threading
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from deploy.simulator import door
from deploy.simulator.door import Door, GaveUp
from tests.deploy.simulator.server import CUT, Answer, Asked, serving

TAKEN: Answer = (202, {"position": "h1.x"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT_S", 0.005)
    monkeypatch.setattr(door, "LONGEST_WAIT_S", 0.02)


def post(answers: Iterator[Answer], patience_s: float = 5.0, times: int = 1) -> tuple[list[door.Answer], list[Asked]]:
    """Post the same body `times` times through one door to a server that answers in this order."""
    with serving(lambda _: next(answers)) as server:
        client = Door(server.port, lambda who: f"token-of-{who}", threading.Event(), patience_s)
        try:
            return [client.post("op-07", "/v1/x", b"{}", "application/json", {"Idempotency-Key": "k"}) for _ in range(times)], server.asked
        finally:
            client.close()


@pytest.mark.parametrize("status", [429, 503, 504])
def test_what_was_not_taken_or_not_known_is_sent_again_unchanged(status: int) -> None:
    (answer,), asked = post(chain([(status, {}), (status, {})], repeat(TAKEN)))

    assert (answer.status, answer.tries) == (202, 3)
    assert len({(one.body, one.headers["Idempotency-Key"], one.headers["Authorization"]) for one in asked}) == 1
    assert asked[0].headers["Authorization"] == "Bearer token-of-op-07"


@pytest.mark.parametrize("status", [200, 202, 400, 401, 403, 409, 413, 422])
def test_an_answer_for_good_is_taken_as_it_is(status: int) -> None:
    (answer,), asked = post(repeat((status, {"type": "stale-version", "rule": "stale_version"})))

    assert (answer.status, answer.rule, len(asked)) == (status, "stale_version", 1)


def test_a_cut_line_is_tried_again_on_a_new_one() -> None:
    answers, asked = post(iter([TAKEN, (CUT, None), (CUT, None), TAKEN]), times=2)

    assert [answer.status for answer in answers] == [202, 202]
    assert len(asked) == 4


def test_patience_ends_and_says_why_without_what_was_sent() -> None:
    with pytest.raises(GaveUp, match=r"it answers 503, after [0-9]+ tries"):
        post(repeat((503, {})), patience_s=0.1)


def test_nobody_listens_and_patience_ends() -> None:
    with serving(lambda _: TAKEN) as server:
        port = server.port
    client = Door(port, lambda _: "", threading.Event(), patience_s=0.05)

    with pytest.raises(GaveUp, match="ConnectionRefusedError"):
        client.get("adapter", "/v1/x")


def test_a_stopped_player_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_WAIT_S", 30.0)
    monkeypatch.setattr(door, "LONGEST_WAIT_S", 30.0)
    stop = threading.Event()

    def answer(_: Asked) -> Answer:
        stop.set()
        return 503, {}

    with serving(answer) as server:
        client = Door(server.port, lambda _: "", stop, patience_s=60)
        with pytest.raises(GaveUp, match="stopped"):
            client.get("adapter", "/v1/x")
        client.close()
