"""deploy/compose.yaml as plain values: just as much of YAML as that file uses, so that no test needs a library for it.

Knows mappings and lists by indentation, lists in brackets, quotes, comments on lines of their own, one anchor and its merge. Anything else
is an error.
"""

import json
import re
from pathlib import Path
from typing import Any

COMPOSE = Path(__file__).parent.parent / "deploy" / "compose.yaml"
_Lines = list[tuple[int, str]]


def read_compose(text: str) -> Any:
    """Return what the text holds; merges are done, anchors gone."""
    lines: _Lines = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            assert "\t" not in line, "YAML knows no tabs"
            lines.append((len(line) - len(line.lstrip()), line.strip()))
    anchors: dict[str, Any] = {}
    found = _block(lines, 0, anchors)
    assert not lines, f"not understood: {lines[0][1]}"
    return found


def _block(lines: _Lines, indent: int, anchors: dict[str, Any]) -> Any:
    return _sequence(lines, indent, anchors) if lines[0][1].startswith("- ") else _mapping(lines, indent, anchors)


def _sequence(lines: _Lines, indent: int, anchors: dict[str, Any]) -> list[Any]:
    found = []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        first = lines[0][1][2:]
        if re.match(r"[\w.-]+: ", first):  # a mapping begins on the line of its hyphen
            lines[0] = (indent + 2, first)
            found.append(_mapping(lines, indent + 2, anchors))
        else:
            lines.pop(0)
            found.append(_scalar(first))
    return found


def _mapping(lines: _Lines, indent: int, anchors: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    own: dict[str, Any] = {}
    while lines and lines[0][0] == indent:
        parts = re.fullmatch(r"([\w.-]+|<<):(?: (.*))?", lines[0][1])
        assert parts, f"not understood: {lines[0][1]}"
        lines.pop(0)
        name, rest = parts[1], parts[2] or ""
        if name == "<<":
            merged = anchors[rest.removeprefix("*")]
            continue
        assert name not in own, f"{name} stands twice"
        anchor = rest[1:] if rest.startswith("&") else ""
        if rest and not anchor:
            own[name] = _scalar(rest)
        else:
            own[name] = _block(lines, lines[0][0], anchors) if lines and lines[0][0] > indent else None
        if anchor:
            anchors[anchor] = own[name]
    return {**merged, **own}


def _scalar(text: str) -> Any:
    if text.startswith("["):
        assert text.endswith("]"), f"a list ends where it began: {text}"
        return [_scalar(one) for one in re.findall(r'"[^"]*"|[^,\s][^,]*', text[1:-1])]
    if text.startswith('"'):
        return json.loads(text)
    assert not re.match(r"[&*!|>{%@`']", text), f"not understood: {text}"
    assert not re.search(": | #", text), f"would be read otherwise: {text}"
    if text == "true" or text.isdecimal():
        return json.loads(text)
    assert not re.fullmatch(r"-?[0-9]+(\.[0-9]*)?|true|false|null|yes|no|on|off|~", text, re.IGNORECASE), f"a text needs quotes: {text}"
    return text
