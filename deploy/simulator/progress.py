"""Tells how far a long piece of work is: on a terminal one line drawn again and again, elsewhere a line every 5 s."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_REDRAWN_S, _ELSEWHERE_S = 0.2, 5.0
_STOP_LIMIT_S = 5.0


@contextmanager
def shown(out: TextIO, line: Callable[[], str]) -> Iterator[None]:
    """Show what `line` says while the block runs, and once more at its end."""
    on_terminal = out.isatty()
    over = threading.Event()

    def draw() -> None:
        out.write(f"\r\x1b[K{line()}" if on_terminal else f"{line()}\n")
        out.flush()

    def keep_drawing() -> None:
        while not over.wait(_REDRAWN_S if on_terminal else _ELSEWHERE_S):
            draw()

    drawer = threading.Thread(target=keep_drawing, name="progress", daemon=True)
    drawer.start()
    try:
        yield
    finally:
        over.set()
        drawer.join(_STOP_LIMIT_S)
        draw()
        if on_terminal:
            out.write("\n")


def pace(done: int, total: int, passed_s: float, planned_s: float) -> str:
    """Return `37 %, 212/s, 31 s left` for work that shall take `planned_s` and takes longer if it must."""
    rate = done / passed_s if passed_s else 0.0
    late_s = (total - done) / rate if rate else planned_s
    left_s = planned_s - passed_s if passed_s < planned_s else late_s
    return f"{100 * done // max(1, total)} %, {rate:.0f}/s, {left_s:.0f} s left"
