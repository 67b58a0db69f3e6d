"""What people say, by language: the folder `words`, read once, and how their blanks are filled."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from deploy.simulator.stories.chances import Dice

_FOLDER = Path(__file__).parent / "words"
FAILURE = "portal_failure"

_MONTHS: Mapping[str, Sequence[str]] = {
    "ru": ("января", "февраля", "марта"),
    "en": ("January", "February", "March"),
    "tt": ("гыйнвар", "февраль", "март"),
}


@dataclass(frozen=True, slots=True)
class Theme:
    """One topic in one language."""

    code: str
    kind: str
    subjects: Sequence[str]
    asks: Sequence[str]
    notes: Sequence[str]
    answers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of one language."""

    language: str
    phrases: Mapping[str, Sequence[str]]
    themes: Mapping[str, Theme]
    complaints: Mapping[str, Sequence[str]]  # by violation

    def phrase(self, kind: str, dice: Dice, city: str) -> str:
        """Return one phrase of a kind such as `greetings`, its blanks filled."""
        return self.fill(dice.one_of(self.phrases[kind]), dice, city)

    def fill(self, words: str, dice: Dice, city: str) -> str:
        """Fill the blanks of `words`."""
        return words.format(
            service=dice.one_of(self.phrases["services"]),
            city=city,
            days=dice.between(2, 20),
            date=f"{dice.between(1, 28)} {dice.one_of(_MONTHS[self.language])}",
        )

    def theme(self, dice: Dice) -> Theme:
        """Return a topic of an ordinary hour."""
        return self.themes[dice.one_of([code for code in self.themes if code != FAILURE])]


@cache
def load(language: str) -> Texts:
    """Read the texts of ru, en or tt."""
    told: dict[str, Any] = tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    themes = {code: Theme(code=code, **theme) for code, theme in told.pop("topics").items()}
    complaints = {violation: about["asks"] for violation, about in told.pop("complaints").items()}
    return Texts(language, told, themes, complaints)
