"""Whether a port of this machine is free, said before a server dies of it."""

import random
import socket

from deploy.problems import PortTaken

LOOPBACK = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000  # below 32768: above, outgoing connections take ports at random
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def answers(port: int, limit_s: float = 0.5) -> bool:
    """Whether somebody accepts connections on the port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=limit_s).close()
    except OSError:
        return False
    return True


def require_free(port: int, wanted_by: str, setting: str) -> None:
    """Raise PortTaken with what to do about it."""
    if not is_free(port):
        raise PortTaken(f"port {port}, wanted by {wanted_by}, is taken by another program: stop it, or set {setting} to another port")


def pick_free(count: int) -> int:
    """The first of `count` neighbouring free ports, at random, for tests."""
    for _ in range(_TRIES):
        first = random.randrange(_FIRST, _LAST)  # noqa: S311 - not a secret
        if all(is_free(first + step) for step in range(count)):
            return first
    raise PortTaken(f"no {count} neighbouring free ports between {_FIRST} and {_LAST}")
