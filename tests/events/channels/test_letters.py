"""Real letters from tests/letters: what a clerk reads of each first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from events.channels.channel import Rejected
from events.channels.registry import translate, translate_letter
from events.letters import LetterReceived
from events.wire.codec import load_codec
from tests.events.channels.counter import RECEIVED_AT, Counter, ids, limits

LETTERS = Path(__file__).parents[2] / "letters"


@dataclass(frozen=True, kw_only=True)
class Read:
    """What is expected of a letter; what is not said is as in most letters."""

    language: str = "ru"
    sender: str | None
    name: str | None = None
    phone: str | None = None
    subject: str | None = None
    text: str | None  # how the text begins
    automatic: bool = False
    files: tuple[tuple[str, str | None], ...] = ()


EXPECTED: dict[str, Read] = {
    "windows-1251": Read(
        sender="m.ivanova@example.ru",
        name="Мария Иванова",
        phone="8 (916) 123-45-67",
        subject="Не могу войти в кабинет",
        text="Здравствуйте!\nНе",
    ),
    "koi8-r": Read(
        sender="petrov@example.org", name="Илья Петров", phone="+7 495 123-45-67", subject="Срок рассмотрения", text="Добрый день."
    ),
    "quoted-printable": Read(sender="sidorova@example.ru", name="Анна Сидорова", subject="Справка", text="Как получить справку о доходах"),
    "base64": Read(
        sender="kuznetsov@example.ru", name="Кузнецов Пётр", phone="9031234567", subject="Ошибка при отправке формы", text="Портал"
    ),
    "nested-multipart": Read(
        sender="belova@example.ru",
        name="Ольга Белова",
        subject="Документы и снимок экрана",
        text="Прилагаю скан и снимок экрана.",
        files=(("image/png", "shot.png"), ("application/pdf", "паспорт.pdf")),
    ),
    "forwarded": Read(
        sender="orlov@example.ru",
        name="Сергей Орлов",
        subject="Fwd: отказ",
        text="Пересылаю отказ",
        files=(("message/rfc822", None), ("application/pdf", "decision.pdf")),
    ),
    "rfc2231-name": Read(
        sender="volkov@example.ru", name="Igor Volkov", subject="Скан СНИЛС", text="Скан во", files=(("image/jpeg", "СНИЛС Волкова.jpg"),)
    ),
    "html-only": Read(
        sender="smirnova@example.ru", name="Smirnova, Elena", subject="Вопрос о пособии", text="Добрый день!\n\nКогда придёт пособие? 2 < 3"
    ),
    "missing-boundary": Read(
        sender="dmitry@example.ru", name="Dmitry", subject="Справка", text="Где моя справка?", files=(("image/png", "a.png"),)
    ),
    "bad-base64": Read(sender="nina@example.ru", name="Nina", subject="Запись", text="Не открывается страница записи. Помогите"),
    "unknown-charset": Read(sender="oleg@example.ru", name="Oleg", subject="Жалоба на очередь", text="Очередь на приём не движется"),
    "nul": Read(sender="vera@example.ru", name="Vera", subject="Vopros", text="Текст с нулями"),
    "raw-8bit-headers": Read(
        sender="kozlova@example.ru", name="Тамара Козлова", subject="Замена водительского удостоверения", text="Как заменить удостоверение?"
    ),
    "without-from": Read(sender=None, subject="Без подписи", text="Кто-то должен"),
    "without-message-id": Read(sender="egorov@example.ru", name="Pavel Egorov", subject="Адрес", text="Сменил адрес"),
    "auto-reply": Read(sender="m.ivanova@example.ru", name="Мария Иванова", subject="Я в отпуске", text="Меня нет", automatic=True),
    "bounce": Read(
        language="en",
        sender="MAILER-DAEMON@mx.example.ru",
        name="Mail Delivery System",
        subject="Undelivered Mail Returned to Sender",
        text="I'm sorry",
        automatic=True,
        files=(("message/delivery-status", None), ("message/rfc822", None)),
    ),
    "tatar": Read(
        language="tt",
        sender="valieva@example.ru",
        name="Гөлнара Вәлиева",
        phone="+7 843 123-45-67",
        subject="Балалар бакчасы",
        text="Исәнмесез!",
    ),
    "english": Read(
        language="en",
        sender="j.smith@example.com",
        name="John Smith",
        phone="+44 20 7946 0958",
        subject="Residence permit",
        text="Dear Sir",
    ),
    "nothing-said": Read(language="", sender="unknown@example.ru", text=None),
}


def taken(raw: bytes, counter: Counter | None = None, received_at: int = RECEIVED_AT) -> Any:
    (fact,) = translate_letter(raw, (counter or Counter()).intake(received_at))
    return fact


def letter(name: str) -> bytes:
    return (LETTERS / f"{name}.eml").read_bytes()


def test_every_letter_of_the_folder_is_expected() -> None:
    assert {path.stem for path in LETTERS.glob("*.eml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_letter_is_read_as_a_clerk_would(name: str) -> None:
    counter, expected = Counter(), EXPECTED[name]

    fact: LetterReceived = taken(letter(name), counter)

    read = (fact.language, counter.open(fact.sender), counter.open(fact.name), counter.open(fact.phone), counter.open(fact.subject))
    assert read == (expected.language, expected.sender, expected.name, expected.phone, expected.subject)
    assert (counter.open(fact.text) or "").startswith(expected.text or "")
    assert fact.auto_submitted is expected.automatic
    assert tuple(counter.open_file(one)[::2] for one in fact.attachments) == expected.files
    told = (fact.sender, fact.name, fact.phone, fact.text)
    assert (fact.has_sender, fact.has_name, fact.has_phone, fact.has_text) == tuple(value is not None for value in told)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_whole_letter_lies_sealed_in_the_store(name: str) -> None:
    counter = Counter()

    fact = taken(letter(name), counter)

    assert counter.open_bytes(counter.files.kept[fact.raw_digest]) == letter(name)
    assert fact.size_bytes == len(letter(name))
    assert load_codec().decode(load_codec().encode(fact, "test").value) == fact


@pytest.mark.parametrize("name", EXPECTED)
def test_what_servers_change_on_the_way_makes_no_other_letter(name: str) -> None:
    raw = letter(name)
    roads = [
        raw,
        raw.replace(b"\r\n", b"\n"),
        b"Received: from a by b; today\r\nX-Spam-Score: 3\r\nDKIM-Signature: v=1;\r\n b=abc\r\n" + raw,
        b"From sender@example.ru Fri Mar 14 09:26:53 2025\n" + raw,
        raw + b"\r\n\r\n",
    ]

    found = {ids(taken(road, received_at=RECEIVED_AT + number)) for number, road in enumerate(roads)}

    assert len(found) == 1


def test_letters_of_the_folder_are_all_different() -> None:
    assert len({fact for name in EXPECTED for fact in ids(taken(letter(name)))}) == 2 * len(EXPECTED)


def test_the_same_message_id_with_another_body_is_another_letter() -> None:
    forged = letter("english").replace(b"extend", b"cancel")

    assert taken(forged).contact_id != taken(letter("english")).contact_id


def test_a_letter_without_a_date_occurred_when_it_came_and_keeps_its_id() -> None:
    first, again = taken(letter("without-message-id")), taken(letter("without-message-id"), received_at=RECEIVED_AT + 5)

    assert (first.occurred_at, again.occurred_at) == (RECEIVED_AT, RECEIVED_AT + 5)
    assert first.event_id == again.event_id
    assert first.event_id[:6] == bytes(6)


def test_an_answer_names_the_letters_it_answers_by_their_keys_only() -> None:
    first = taken(b"From: a@example.ru\nMessage-ID: <first-1@example.gov>\n\nhello")

    assert taken(letter("nested-multipart")).thread_keys[-1] == first.message_key


def test_a_two_digit_offset_is_hours() -> None:
    assert taken(letter("quoted-printable")).occurred_offset_min == 180


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: auto-generated (vacation)",
        "Auto-Submitted: Auto-Replied; owner-email=a@example.ru",
        "Return-Path: <>",
        'Content-Type: multipart/report; boundary=b; report-type="Delivery-Status"',
    ],
)
def test_automatic_letters_are_known(field: str) -> None:
    assert taken(f"From: a@example.ru\n{field}\n\nhello".encode()).auto_submitted


@pytest.mark.parametrize(
    "field",
    [
        *("Auto-Submitted: no", "Auto-Submitted: No; x=y", "Auto-Submitted: no(truly)", "Auto-Submitted:", "Return-Path: <a@example.ru>"),
        *("Precedence: list", "Precedence: bulk", "Precedence: Junk", "X-Autoreply: yes", "X-Auto-Response-Suppress: All"),
        "Content-Type: multipart/report; boundary=b; report-type=disposition-notification",
    ],
)
def test_no_letter_is_taken_for_an_automatic_one_by_a_guess(field: str) -> None:
    assert not taken(f"From: a@example.ru\n{field}\n\nhello".encode()).auto_submitted


@pytest.mark.parametrize("sender", ["postmaster@example.ru", "mailer-daemon@example.ru"])
def test_a_postmaster_may_be_a_citizen_too(sender: str) -> None:
    assert not taken(f"From: {sender}\n\nhello".encode()).auto_submitted


def test_a_long_text_is_cut_between_letters_and_the_store_keeps_it_all() -> None:
    counter = Counter(limits=limits(text_in_event_bytes=99))

    fact = taken(b"From: a@example.ru\nContent-Type: text/plain; charset=utf-8\n\n" + "ж".encode() * 500, counter)

    assert fact.text_cut
    assert counter.open(fact.text) == "ж" * 49


def test_an_empty_and_a_too_large_letter_are_refused_and_nothing_else() -> None:
    counter = Counter(limits=limits(letter_bytes=10))

    for raw, rule in ((b" \r\n", "empty"), (b"x" * 11, "too_large")):
        with pytest.raises(Rejected) as refused:
            taken(raw, counter)
        assert refused.value.rule == rule


def test_a_small_letter_may_come_inside_json() -> None:
    import base64

    document = {"letter_base64": base64.b64encode(letter("tatar")).decode()}

    (fact,) = translate("email", document, Counter().intake())

    assert ids(fact) == ids(taken(letter("tatar")))
