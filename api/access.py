"""Who may do what: bearer tokens (JWT, EdDSA alone), three roles and their rights. The one place of both applications that checks either.

A token says a role and a subject, which is an id and never a name: it stands as actor on the log. Keys are read from files; nothing here
knows a route.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from fastapi import Request

from api.problems import Problem
from events.actors import ID_RULE, is_actor_id
from events.settings import Settings

ISSUER, AUDIENCE, ALGORITHM = "hotline", "hotline", "EdDSA"
CLAIMS_NEEDED = ("exp", "aud", "iss", "sub")
LONGEST_TOKEN_BYTES = 2_000
_DAY_S = 24 * 3600
LONGEST_TTL_S = 31 * _DAY_S
TOKENS_REMEMBERED = 10_000

#: What each role may do. Whatever is not named here is not allowed.
RIGHTS: Mapping[str, frozenset[str]] = {
    "adapter": frozenset({"publish_contacts", "read_lines"}),
    "operator": frozenset({"publish_as_self", "command", "read_tickets", "read_contacts", "read_lines"}),
    "auditor": frozenset({"read_lines", "read_tickets", "read_contacts", "read_audit", "read_retention"}),
}


class KeyUnusable(Exception):
    """A key file is missing or holds no Ed25519 key in PEM; the message names the file."""


class BadSubject(ValueError):
    """A role that does not exist, a subject that is no id, or a lifetime out of bounds."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as the token tells."""

    role: str
    sub: str

    @property
    def actor(self) -> str:
        """How this caller is named on the log."""
        return f"operator:{self.sub}" if self.role == "operator" else f"process:{self.sub}"

    def may(self, right: str) -> bool:
        """Say whether the caller's role has this right."""
        return right in RIGHTS[self.role]


def issue(settings: Settings, role: str, sub: str, ttl_s: int) -> str:
    """Return a token for `role` and `sub`, valid for `ttl_s` seconds; raise BadSubject or KeyUnusable."""
    if role not in RIGHTS:
        raise BadSubject(f"a role is one of: {', '.join(RIGHTS)}")
    if not is_actor_id(sub):
        raise BadSubject(f"a subject is an id: {ID_RULE}")
    if not 0 < ttl_s <= LONGEST_TTL_S:
        raise BadSubject(f"a token is valid for at least a second and at most {LONGEST_TTL_S // _DAY_S} days")
    key = _read_key(settings.signing_key_path, lambda pem: load_pem_private_key(pem, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{settings.signing_key_path}: an Ed25519 key is needed")
    now_s = int(time.time())
    return jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "role": role, "iat": now_s, "exp": now_s + ttl_s}, key, ALGORITHM)


def open_gate(settings: Settings) -> "Gate":
    """Return the gate that checks tokens with the public key the settings name; raise KeyUnusable."""
    key = _read_key(settings.verifying_key_path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{settings.verifying_key_path}: an Ed25519 key is needed")
    return Gate(key)


class Gate:
    """Checks tokens with one public key. Verified ones are remembered until they expire: verifying costs more than most answers."""

    def __init__(self, public_key: Ed25519PublicKey, clock_s: Callable[[], float] = time.time) -> None:
        self._key, self._clock_s = public_key, clock_s
        self._known: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    def admit(self, authorization: str | None) -> Caller:
        """Return the caller of an Authorization header; raise Problem 401."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN_BYTES:
            raise _unauthorised("bearer_token_missing")
        known = self._known.get(token)
        if known and self._clock_s() < known[1]:
            return known[0]
        caller, expires_s = self._verify(token)
        self._known[token] = caller, expires_s
        if len(self._known) > TOKENS_REMEMBERED:
            self._known.popitem(last=False)
        return caller

    def require(self, authorization: str | None, *rights: str) -> Caller:
        """Return the caller of an Authorization header who has one of `rights`; raise Problem 401, or 403 naming the first of them."""
        caller = self.admit(authorization)
        if not any(caller.may(right) for right in rights):
            raise Problem.of("forbidden", right=rights[0], headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'})
        return caller

    def _verify(self, token: str) -> tuple[Caller, float]:
        options: Any = {"require": list(CLAIMS_NEEDED), "verify_exp": False, "verify_iat": False, "strict_aud": True}
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=options)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):  # the last ones: claims or a header of a wild form
            raise _unauthorised("token_invalid") from None
        expires, sub, role = claims["exp"], claims["sub"], claims.get("role")
        if type(expires) not in (int, float) or self._clock_s() >= expires:
            raise _unauthorised("token_expired")
        if not isinstance(role, str) or role not in RIGHTS or not is_actor_id(sub):
            raise _unauthorised("token_invalid")
        return Caller(role, sub), float(expires)


def needs(*rights: str) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets through whoever has one of `rights`, and gives the route its Caller.

    The application keeps its gate in `app.state.gate`.
    """
    unknown = set(rights) - frozenset().union(*RIGHTS.values())
    if unknown or not rights:
        raise ValueError(f"no role has a right called {', '.join(sorted(unknown))}")

    async def admitted(request: Request) -> Caller:
        gate: Gate = request.app.state.gate
        return gate.require(request.headers.get("authorization"), *rights)

    return admitted


def _unauthorised(rule: str) -> Problem:
    return Problem.of("unauthorised", rule=rule, headers={"WWW-Authenticate": "Bearer"})


def _read_key(path: Path, load: Callable[[bytes], object]) -> object:
    try:
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path}: no key can be read: {type(error).__name__}") from None
