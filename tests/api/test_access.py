"""Who gets in: tokens of the right key, algorithm, issuer and audience, in time, whose role has the right. Nobody else."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.access import LONGEST_TTL_S, RIGHTS, TOKENS_REMEMBERED, BadSubject, Caller, Gate, KeyUnusable, issue, needs, open_gate
from api.problems import Problem
from events.settings import Settings
from tests.api.tokens import FAR_S, KEY, PUBLIC_PEM, gate, token, write_keys

CLAIMS: dict[str, object] = {"iss": "hotline", "aud": "hotline", "sub": "op-17", "role": "operator", "exp": FAR_S}


def _part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _unsigned(algorithm: str = "none") -> str:
    return f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(CLAIMS)}."


def _public_key_as_secret() -> str:
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(CLAIMS)}"
    mac = hmac.new(PUBLIC_PEM, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _tampered() -> str:
    head, _, signature = token("operator", "op-17").split(".")
    return f"{head}.{_part(CLAIMS | {'role': 'auditor'})}.{signature}"


BROKEN: dict[str, Callable[[], str]] = {
    "no algorithm": _unsigned,
    "no algorithm, in capitals": lambda: _unsigned("NONE"),
    "the right algorithm without a signature": lambda: _unsigned("EdDSA"),
    "the public key as a shared secret": _public_key_as_secret,
    "another key": lambda: jwt.encode(CLAIMS, Ed25519PrivateKey.generate(), "EdDSA"),
    "another kind of key": lambda: jwt.encode(CLAIMS, generate_private_key(SECP256R1()), "ES256"),
    "claims changed after signing": _tampered,
    "expired": lambda: token(exp=1_000_000_000),
    "never expires": lambda: token(exp=None),
    "expires some time": lambda: token(exp="later"),
    "expires truly": lambda: token(exp=True),
    "not yet valid": lambda: token(nbf=FAR_S),
    "another audience": lambda: token(aud="payroll"),
    "several audiences": lambda: token(aud=["hotline", "payroll"]),
    "no audience": lambda: token(aud=None),
    "another issuer": lambda: token(iss="somebody"),
    "no issuer": lambda: token(iss=None),
    "no subject": lambda: token(sub=None),  # type: ignore[arg-type]
    "an empty subject": lambda: token(sub=""),
    "a subject that is a name": lambda: token(sub="Мария Иванова"),
    "a subject with a line break": lambda: token(sub="op-17\nadmin"),
    "a subject that is a phone number": lambda: token(sub="7-916-123-45-67"),
    "a subject too long": lambda: token(sub="x" * 41),
    "an unknown role": lambda: token("root"),
    "no role": lambda: token(role=None),  # type: ignore[arg-type]
    "several roles": lambda: token(role=["adapter", "auditor"]),  # type: ignore[arg-type]
    "a critical extension": lambda: jwt.encode(CLAIMS, KEY, "EdDSA", headers={"crit": ["x"], "x": 1}),
    "no token at all": lambda: "",
    "garbage": lambda: "garbage",
    "dots": lambda: "..",
    "letters beyond ASCII": lambda: "токен.токен.токен",
    "a list for a header": lambda: f"{_part([])}.{_part(CLAIMS)}.x",
    "a list for claims": lambda: jwt.api_jws.encode(b"[]", KEY, "EdDSA"),
    "deep nesting": lambda: f"{_part({'alg': 'EdDSA'})}.{base64.urlsafe_b64encode(b'[' * 900).decode()}.x",
    "very long": lambda: token(more="x" * 5_000),
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_broken_token_does_not_get_in(why: str) -> None:
    with pytest.raises(Problem) as refusal:
        gate().admit(f"Bearer {BROKEN[why]()}")

    assert refusal.value.status == 401
    assert refusal.value.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic b3A6eA==", f"Token {token()}", token()])
def test_a_header_that_is_no_bearer_token_does_not_get_in(header: str | None) -> None:
    with pytest.raises(Problem) as refusal:
        gate().admit(header)

    assert refusal.value.document["type"] == "unauthorised"


@pytest.mark.parametrize("role", RIGHTS)
def test_a_good_token_tells_role_and_subject(role: str) -> None:
    caller = gate().admit(f"bearer {token(role, 'op-17')}")

    assert caller == Caller(role, "op-17")


def test_a_token_that_was_good_a_moment_ago_is_refused_once_it_has_expired() -> None:
    now_s = 1_000.0
    door = Gate(KEY.public_key(), clock_s=lambda: now_s)
    header = f"Bearer {token(exp=1_010)}"
    assert door.admit(header).role == "adapter"

    now_s = 1_010.0

    with pytest.raises(Problem):
        door.admit(header)


def test_the_gate_remembers_only_so_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.TOKENS_REMEMBERED", 3)
    door = gate()

    for number in range(6):
        door.admit(f"Bearer {token(sub=f'op-{number}')}")

    assert len(door._known) == 3
    assert TOKENS_REMEMBERED >= 1_000


def test_an_operator_is_named_as_such_on_the_log_and_an_adapter_is_a_process() -> None:
    assert Caller("operator", "op-17").actor == "operator:op-17"
    assert Caller("adapter", "exchange").actor == "process:exchange"


@pytest.mark.parametrize(
    ("role", "right", "may"),
    [
        ("adapter", "publish_contacts", True),
        ("adapter", "command", False),
        ("adapter", "read_tickets", False),
        ("adapter", "read_contacts", False),
        ("operator", "publish_contacts", False),
        ("operator", "publish_as_self", True),
        ("operator", "command", True),
        ("operator", "read_tickets", True),
        ("operator", "read_audit", False),
        ("auditor", "publish_contacts", False),
        ("auditor", "publish_as_self", False),
        ("auditor", "command", False),
        ("auditor", "read_audit", True),
        ("auditor", "read_retention", True),
    ],
)
def test_a_role_may_do_what_the_table_says_and_nothing_else(role: str, right: str, may: bool) -> None:
    assert Caller(role, "x").may(right) is may


def test_the_gate_requires_one_of_the_rights_and_names_the_first_that_is_missing() -> None:
    header = f"Bearer {token('operator', 'op-17')}"

    with pytest.raises(Problem) as refusal:
        gate().require(header, "publish_contacts", "read_audit")

    assert gate().require(header, "publish_contacts", "publish_as_self") == Caller("operator", "op-17")
    assert (refusal.value.status, refusal.value.document["right"]) == (403, "publish_contacts")
    assert "insufficient_scope" in refusal.value.headers["WWW-Authenticate"]
    with pytest.raises(Problem, match="unauthorised"):
        gate().require(None, "read_audit")


def test_a_route_cannot_ask_for_a_right_that_nobody_has() -> None:
    with pytest.raises(ValueError, match="fly"):
        needs("fly")


def test_an_issued_token_passes_the_gate_of_the_same_settings(tmp_path: Path) -> None:
    write_keys(tmp_path)
    settings = Settings(home=tmp_path)

    issued = issue(settings, "auditor", "a.1", 60)

    assert open_gate(settings).admit(f"Bearer {issued}") == Caller("auditor", "a.1")


@pytest.mark.parametrize(
    ("role", "sub", "ttl_s"),
    [
        ("root", "x", 60),
        ("adapter", "", 60),
        ("adapter", "Иван", 60),
        ("adapter", "79161234567", 60),
        ("adapter", "x", 0),
        ("adapter", "x", LONGEST_TTL_S + 1),
    ],
)
def test_no_token_is_issued_for_a_wrong_role_a_name_or_an_endless_time(tmp_path: Path, role: str, sub: str, ttl_s: int) -> None:
    write_keys(tmp_path)

    with pytest.raises(BadSubject):
        issue(Settings(home=tmp_path), role, sub, ttl_s)


@pytest.mark.parametrize("content", [None, b"", b"no key", PUBLIC_PEM])
def test_a_key_file_that_holds_no_key_of_ours_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token.key").write_bytes(content)

    with pytest.raises(KeyUnusable, match=r"token\.key"):
        issue(Settings(home=tmp_path), "adapter", "x", 60)
    with pytest.raises(KeyUnusable, match=r"token\.pub"):
        open_gate(Settings(home=tmp_path))
