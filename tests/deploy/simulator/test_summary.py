"""The page of numbers, and the line that tells how far the day is."""

import io

from deploy.simulator.day import day
from deploy.simulator.ledger import Ledger
from deploy.simulator.progress import pace, shown
from deploy.simulator.summary import Try, advice, median_and_p99_ms, page

_COUNTED = {"tickets by status": [("closed", 1200)], "tickets by kind": [], "outcomes of facts": [("no_change", 3)]}


def test_median_and_p99_are_in_milliseconds() -> None:
    assert median_and_p99_ms([n / 1000 for n in range(1, 102)]) == (51.0, 100.0)
    assert median_and_p99_ms([]) == (0.0, 0.0)
    assert median_and_p99_ms([0.25]) == (250.0, 250.0)


def test_the_page_tells_what_was_played() -> None:
    lines = list(page(Ledger(day(9, 20)), _COUNTED, 12.0))

    assert lines[0] == "A day of 0 contacts, seed 9, played in 12 s"
    assert any(line.startswith("tickets by status") and line.endswith("closed 1,200") for line in lines)


def test_what_to_try_is_a_command_on_a_line_of_its_own() -> None:
    assert list(advice({}, {}, [Try("a card", "hotline ticket X")])) == ["Try:", "  # a card", "  hotline ticket X"]


def test_progress_says_how_much_is_left_of_the_planned_time_and_then_of_the_work() -> None:
    assert pace(50, 200, 5.0, 20.0) == "25 %, 10/s, 15 s left"
    assert pace(150, 200, 30.0, 20.0) == "75 %, 5/s, 10 s left"
    assert pace(0, 200, 0.0, 20.0) == "0 %, 0/s, 20 s left"


def test_off_a_terminal_progress_is_whole_lines() -> None:
    out = io.StringIO()

    with shown(out, lambda: "half"):
        pass

    assert out.getvalue() == "half\n"
