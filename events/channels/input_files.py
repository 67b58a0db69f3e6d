"""Inputs of a channel as they lie in files: letters (.eml or a folder of them, mbox, Maildir) or JSON lines.

Reads bounded pieces, understands no content.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_LONGEST_LINE_BYTES = 1_000_000  # of an mbox; longer ones come in pieces
_QUOTED_FROM = re.compile(rb">+From ")


class Input(NamedTuple):
    """One input and where it came from."""

    source: str  # FILE, FILE:LINE for JSON lines, FILE#N for an mbox
    raw: bytes  # one byte over the limit at most: what is longer is cut there, to be refused


def read_lines(stream: BinaryIO, name: str, limit_bytes: int) -> Iterator[Input]:
    """Yield the lines of `stream` that are not blank."""
    number = 0
    while line := stream.readline(limit_bytes + 1):
        number += 1
        whole = line
        while not line.endswith(b"\n") and (line := stream.readline(limit_bytes)):
            pass  # the rest of a line that is too long
        if whole.strip():
            yield Input(f"{name}:{number}", whole)


def letters_in(folder: Path) -> list[Path]:
    """Return the letters of a Maildir, new ones before those already seen, or else the .eml files of the folder; each in order of names."""
    parts = [folder / part for part in ("new", "cur") if (folder / part).is_dir()]
    if parts:
        return [letter for part in parts for letter in sorted(part.iterdir()) if letter.is_file()]
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".eml" and path.is_file())


def read_letters(path: Path, name: str, limit_bytes: int) -> Iterator[Input]:
    """Yield the letters of a file or of a folder."""
    if not path.is_dir():
        with path.open("rb") as stream:
            yield from read_letters_of(stream, name, limit_bytes)
        return
    for letter in letters_in(path):
        with letter.open("rb") as stream:
            yield Input(str(Path(name) / letter.relative_to(path)), stream.read(limit_bytes + 1))


def read_letters_of(stream: BinaryIO, name: str, limit_bytes: int) -> Iterator[Input]:
    """Yield the letters of a stream: of an mbox if it begins as one, else the one letter that it is."""
    first = stream.readline(_LONGEST_LINE_BYTES)
    if not first.startswith(b"From "):
        yield Input(name, first + stream.read(max(0, limit_bytes + 1 - len(first))))
        return
    number, letter, after_blank = 1, bytearray(), False
    while line := stream.readline(_LONGEST_LINE_BYTES):
        if after_blank and line.startswith(b"From "):
            yield Input(f"{name}#{number}", bytes(letter))
            number, letter = number + 1, bytearray()
        elif len(letter) <= limit_bytes:
            letter += (line[1:] if _QUOTED_FROM.match(line) else line)[: limit_bytes + 1 - len(letter)]
        after_blank = not line.strip()
    yield Input(f"{name}#{number}", bytes(letter))
