"""Logs: one JSON line per event, in UTC, and never the text of an exception."""

import json
import subprocess
import sys
from typing import Any

SECRET = "Иванова +7 900 000-00-00"
_SETUP = "import logging, structlog; from events.logging import configure; configure('desk');"


def logged(script: str) -> list[dict[str, Any]]:
    told = subprocess.run((sys.executable, "-c", f"{_SETUP}\n{script}"), capture_output=True, text=True, check=False, timeout=30)
    assert SECRET not in told.stderr + told.stdout
    return [json.loads(line) for line in told.stderr.splitlines()]


def test_an_event_is_one_line_with_process_level_and_time_in_utc() -> None:
    (line,) = logged("structlog.get_logger().info('batch', topic='hotline.contacts', partition=3)")

    assert line["event"] == "batch"
    assert (line["process"], line["level"], line["partition"]) == ("desk", "info", 3)
    assert line["timestamp"].endswith("Z")


def test_exception_is_told_by_type_and_place_and_not_by_its_text() -> None:
    script = f"""
try:
    try:
        int({SECRET!r})
    except ValueError as problem:
        raise KeyError({SECRET!r}) from problem
except KeyError:
    structlog.get_logger().exception("refused")
    logging.getLogger("library").exception("of a library")
"""

    ours, library = logged(script)

    assert ours["exception"] == library["exception"] == "KeyError < ValueError"
    assert ours["at"] == library["at"]
    assert library["process"] == "desk"


def test_what_nobody_caught_is_one_line_too_also_from_a_thread() -> None:
    thread = f"import threading; t = threading.Thread(target=lambda: int({SECRET!r})); t.start(); t.join();"

    from_thread, from_main = logged(f"{thread} raise RuntimeError({SECRET!r})")

    assert (from_thread["event"], from_thread["exception"]) == ("uncaught", "ValueError")
    assert (from_main["event"], from_main["exception"]) == ("uncaught", "RuntimeError")
