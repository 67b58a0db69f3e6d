"""People who do not exist: names by language, telephone numbers and addresses that belong to nobody."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from deploy.simulator.stories.chances import Dice

_TEXTS = Path(__file__).parent / "words" / "people.toml"
_HOSTS = ("example.com", "example.org", "example.net", "pochta.example", "mail.example")
_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяәөүҗңһ"
_LATIN = "a.b.v.g.d.e.e.zh.z.i.y.k.l.m.n.o.p.r.s.t.u.f.kh.ts.ch.sh.sch..y..e.yu.ya.a.o.u.j.n.h"
_ADDRESS_LETTERS = str.maketrans(dict(zip(_CYRILLIC, _LATIN.split("."), strict=True)) | {"'": ""})


@dataclass(frozen=True, slots=True)
class Person:
    """One citizen. Nothing of it in a repr: it stands for somebody."""

    language: str
    city: str = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)  # as this person writes it
    email: str = field(repr=False)
    address: str = field(repr=False)
    cabinet_id: str = field(repr=False)


def make_person(dice: Dice, language: str) -> Person:
    """Return somebody new who speaks `language`."""
    told = _told()[language]
    name = _name(dice, language, told)
    city = dice.one_of(told["cities"])
    words = name.lower().translate(_ADDRESS_LETTERS).split()
    email = f"{words[0]}.{words[1]}{dice.between(1, 99)}@{dice.one_of(_HOSTS)}"
    address = f"{city}, {dice.one_of(told['streets'])}, {dice.between(1, 120)}, {dice.between(1, 300)}"
    return Person(language, city, name, _phone(dice, language), email, address, f"1{dice.between(10**8, 10**9 - 1)}")


@cache
def _told() -> Mapping[str, Mapping[str, Sequence[str]]]:
    return tomllib.loads(_TEXTS.read_text(encoding="utf-8"))


def _name(dice: Dice, language: str, told: Mapping[str, Sequence[str]]) -> str:
    """Return a name as its language writes it; a Russian or Tatar woman's family name has an ending of its own."""
    is_man = dice.happens(50)
    given, family = dice.one_of(told["men" if is_man else "women"]), dice.one_of(told["families"])
    if language == "en":
        return f"{given} {family}"
    family += "" if is_man else "а"
    if language == "tt":
        return f"{family} {given}"
    return f"{family} {given} {dice.one_of(told['fathers'])}{'ич' if is_man else 'на'}"


def _phone(dice: Dice, language: str) -> str:
    """Return a number of a range that no operator gives out: +7 900 000, or the one kept for films in Britain."""
    last = f"{dice.between(0, 9999):04}"
    if language == "en":
        return f"+44 7700 900{last[1:]}"
    form = dice.one_of(("+7 900 000-{}-{}", "8 (900) 000-{}-{}", "+7 (900) 000 {} {}", "8900000{}{}"))
    return form.format(last[:2], last[2:])
