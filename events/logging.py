"""Logs: one JSON line per event on standard error, times in UTC, the process named.

Never a person's data, so never the text of an exception: it may quote the value that caused it. What is logged of an exception is its type
and where it was raised.
"""

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

_FRAMES = 12  # the innermost ones


class _StandardError:
    """Standard error as it is when a line is written: loggers outlive a redirection of it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(process_name: str, *, for_people: bool = False) -> None:
    """Set up logging of this process, also of libraries and of what nobody caught. `for_people`: short lines instead of JSON."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        exception_without_text,
    ]
    last = _line_for_people if for_people else structlog.processors.JSONRenderer(sort_keys=False)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process_name)
    handler = logging.StreamHandler(_StandardError())
    named = {"process": process_name}
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared[1:-1], structlog.stdlib.ExtraAdder(allow=()), lambda _l, _m, event: {**event, **named}],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, exception_without_text, last],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)


def exception_without_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the types of the exception and its causes and by the places it passed, innermost last."""
    told = event.pop("exc_info", None)
    if told is True:
        told = sys.exc_info()
    problem = told[1] if isinstance(told, tuple) else told
    if not isinstance(problem, BaseException):
        return event
    event["exception"] = _types(problem)
    event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(problem.__traceback__)[-_FRAMES:]]
    return event


def _types(problem: BaseException | None) -> str:
    names: list[str] = []
    while problem is not None and len(names) < _FRAMES:
        names.append(type(problem).__qualname__)
        problem = problem.__cause__ or problem.__context__
    return " < ".join(names)


def _line_for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    fields = {name: value for name, value in event.items() if name not in ("event", "level", "timestamp", "process")}
    words = [str(event.get("timestamp", ""))[11:19], str(event.get("event", "")), *(f"{name}={value}" for name, value in fields.items())]
    return " ".join(words)


def _uncaught(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, problem, trace)
        return
    structlog.get_logger().critical("uncaught", exc_info=problem)
