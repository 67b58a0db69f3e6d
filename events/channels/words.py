"""The kinds of fields that the JSON formats are made of, and how a document is read against one.

Whatever stands in clear in an event is a code, checked here by its pattern: no phone number fits one, nor anything with a blank or beyond
ASCII. A single name in Latin letters does fit; that none is sent is up to the adapters, which fill codes from registers. Free words are
sealed by the translation. An error names the field and the rule and never repeats what was sent.
"""

import binascii
import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationError,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from events.actors import ID_RULE, has_id_letters, looks_like_a_phone
from events.channels.channel import CITIZEN, OPERATOR, Rejected
from events.channels.moments import BadMoment, Moment, parse_moment
from events.numbers import NUMBER

CODE_DIGITS = 6  # a phone number has more, however they are spread over the code
NO_LIMIT_DIGITS = 40
_TIME = "a text with date, time and offset: 2025-03-14T09:26:53.120+03:00"
_BASE64 = "content in base64 (RFC 4648, padded, no line breaks), at least one byte"
_DAY = "a day, YYYY-MM-DD"
_AUTHOR = f"'{CITIZEN}' or '{OPERATOR}:' and an id: {ID_RULE}"
UNKNOWN_FIELD = "(a field this message does not have)"  # its name is the sender's and may say anything

_RULES = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "literal_error": "unknown_word",
    "string_type": "text_expected",
    "string_unicode": "not_text",
    "int_type": "whole_number_expected",
    "list_type": "list_expected",
    "model_type": "object_expected",
    "model_attributes_type": "object_expected",
    "string_too_long": "too_long",
    "string_too_short": "empty",
    "too_long": "too_many",
    "greater_than_equal": "too_small",
    "less_than_equal": "too_great",
}


class Format(BaseModel):
    """A message or a part of one: no field beyond those named, no conversion between kinds."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class _Matching:
    """Text that matches a pattern; a description of the format says so too."""

    rule: str
    pattern: str
    meaning: str
    most_digits: int = NO_LIMIT_DIGITS

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "pattern": f"^({self.pattern})$", "description": self.meaning}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text, re.ASCII) is None:
            raise PydanticCustomError(self.rule, self.meaning)
        if sum(letter.isdigit() for letter in text) > self.most_digits:
            raise PydanticCustomError("looks_like_a_phone", "a code has fewer digits than a phone number")
        return text


def _moment(value: object) -> Moment:
    if not isinstance(value, str):
        raise PydanticCustomError("time_expected", _TIME)
    try:
        return parse_moment(value)
    except BadMoment as bad:
        raise PydanticCustomError("time_expected", str(bad)) from None


def _content(value: object) -> bytes:
    try:
        content = binascii.a2b_base64(value, strict_mode=True) if isinstance(value, str) else b""
    except ValueError:  # not base64, or letters beyond ASCII
        content = b""
    if not content:
        raise PydanticCustomError("base64_expected", _BASE64)
    return content


def _day(text: str) -> str:
    try:
        if len(text) == len("2025-03-14"):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise PydanticCustomError("day_expected", _DAY)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "at least one visible letter")
    return text


def _actor_id(text: str) -> str:
    if not has_id_letters(text):
        raise PydanticCustomError("operator_expected", ID_RULE)
    if looks_like_a_phone(text):
        raise PydanticCustomError("looks_like_a_phone", ID_RULE)
    return text


def _author(text: str) -> str:
    party, colon, operator = text.partition(":")
    if text != CITIZEN and not (party == OPERATOR and colon and has_id_letters(operator)):
        raise PydanticCustomError("author_expected", _AUTHOR)
    if looks_like_a_phone(operator):
        raise PydanticCustomError("looks_like_a_phone", ID_RULE)
    return text


_CODE = "a code of the hotline's registers: a-z, 0-9, '_', '.', '-', up to 64"
Code = Annotated[str, _Matching("code_expected", r"[a-z0-9_.-]{0,64}", _CODE, CODE_DIGITS)]
NeededCode = Annotated[str, _Matching("code_expected", r"[a-z0-9_.-]{1,64}", _CODE, CODE_DIGITS)]
OperatorId = Annotated[str, AfterValidator(_actor_id), Field(description=ID_RULE)]
Author = Annotated[str, AfterValidator(_author), Field(description=_AUTHOR)]
Language = Annotated[
    str, _Matching("language_expected", r"|[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", "a BCP 47 tag: ru, en, tt, zh-Hant-TW")
]
Country = Annotated[str, _Matching("country_expected", r"|[A-Z]{2}", "an ISO 3166 code of two capital letters: RU")]
TicketNumber = Annotated[str, _Matching("ticket_number_expected", NUMBER, "a ticket number: RU-2025-001234")]
Digest = Annotated[str, _Matching("digest_expected", r"[0-9a-f]{64}", "SHA-256 in 64 small hex digits", 64)]
MediaType = Annotated[str, Field(max_length=200)]
OwnId = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_not_blank)]  # the channel's own; only its keyed hash is kept
Told = Annotated[Moment, PlainValidator(_moment, json_schema_input_type=str), Field(description=_TIME)]
Content = Annotated[bytes, PlainValidator(_content, json_schema_input_type=str), Field(description=_BASE64)]
Day = Annotated[str, AfterValidator(_day), Field(description=_DAY)]
Ordinal = Annotated[int, Field(ge=1, le=99)]
Seconds = Annotated[int, Field(ge=0, le=1_000_000)]
Name = Annotated[str, Field(max_length=300)]
Phone = Annotated[str, Field(max_length=64)]
Email = Annotated[str, Field(max_length=320)]
Said = Annotated[str, AfterValidator(_not_blank)]  # words that must be there
Link = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_not_blank)]

F = TypeVar("F", bound=Format)


def read(document: object, form: type[F]) -> F:
    """Return `document` as a message of `form`; Rejected names the first field that breaks a rule."""
    if not isinstance(document, dict):
        raise Rejected("", "object_expected", "one JSON object per message")
    try:
        message = form.model_validate(document)
    except ValidationError as invalid:
        raise _rejected(invalid, form) from None
    _refuse_nul(document, "")
    return message


def read_tagged(document: object, tag: str, forms: dict[str, type[Format]]) -> Format:
    """Return `document` as the form that its field `tag` names."""
    if not isinstance(document, dict):
        raise Rejected("", "object_expected", "one JSON object per message")
    word = document.get(tag)
    if not isinstance(word, str) or word not in forms:
        raise Rejected(tag, "missing" if word is None else "unknown_word", "one of: " + ", ".join(forms))
    return read(document, forms[word])


def is_code(text: str) -> bool:
    """Tell whether `text` may stand where a code of the registers stands."""
    return re.fullmatch(r"[a-z0-9_.-]{1,64}", text, re.ASCII) is not None and sum(letter.isdigit() for letter in text) <= CODE_DIGITS


def canonical(document: object) -> bytes:
    """Return the bytes that every repeat of a document shares, whatever the order of its fields; the document has been read before."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _rejected(invalid: ValidationError, form: type[Format]) -> Rejected:
    first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    path: list[str | int] = list(first["loc"])
    if first["type"] == "extra_forbidden":
        path[-1:] = [UNKNOWN_FIELD]
    known = ", ".join(field.alias or name for name, field in form.model_fields.items())
    detail = f"fields here: {known}" if path == [UNKNOWN_FIELD] else first["msg"]
    return Rejected(".".join(str(step) for step in path), _RULES.get(first["type"], first["type"]), detail)


def _refuse_nul(value: object, path: str) -> None:
    """Refuse NUL characters, which no database and no clerk can hold. The document was read: its keys are the format's own."""
    if isinstance(value, str):
        if "\0" in value:
            raise Rejected(path, "nul_character", "text without NUL characters")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _refuse_nul(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nul(inner, f"{path}.{index}")
