"""The real Apicurio: what `tests/deploy/test_registry.py` says of a small imitation, and its life as a part of the stack."""

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from deploy.hotline import exit_code
from deploy.parts.ports import is_free, pick_free
from deploy.registry.asking import Registry
from deploy.registry.kinds import Apicurio
from deploy.registry.pushing import look, push
from deploy.registry.wanted import END_OF_IDS, Wanted, wanted_versions
from deploy.stack import running_stack
from events.settings import Settings

OURS = wanted_versions()
_STRANGER: dict[str, Any] = {
    "type": "record",
    "namespace": "treasury",
    "name": "Payment",
    "fields": [{"name": "kopecks", "type": "long"}],
}


def _register(address: str, subject: str, schema: dict[str, Any]) -> int:
    """What any stock client does."""
    body = json.dumps({"schema": json.dumps(schema)}).encode()
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    with urlopen(Request(f"{address}/subjects/{subject}/versions", body, headers), timeout=10) as answer:
        return int(json.load(answer)["id"])


def _latest(address: str, subject: str) -> int:
    with urlopen(f"{address}/subjects/{subject}/versions/latest", timeout=10) as answer:
        return int(json.load(answer)["version"])


def test_every_version_is_there_under_its_own_id_and_a_second_push_brings_nothing(shop: Settings) -> None:
    again = push(shop.registry_address)

    assert again.there == OURS
    assert (again.pushed, again.collisions) == ([], [])


def test_a_later_version_joins_its_subject_and_is_its_latest(shop: Settings) -> None:
    registry = Registry(shop.registry_address)
    fields = [{"name": "number", "type": "string"}]
    first = Wanted("interop.tickets", 1, 999_000_001, {"type": "record", "name": "T", "namespace": "interop", "fields": fields})
    more = {"name": "queue", "type": ["null", "string"], "default": None}
    second = Wanted("interop.tickets", 2, 999_000_002, {**first.schema, "fields": [*fields, more]})

    Apicurio(registry).put([first])
    Apicurio(registry).put([second])

    assert look(registry, [first, second]).there == [first, second]
    assert _latest(shop.registry_address, first.subject) == 2


def test_a_stranger_s_schema_gets_an_id_behind_ours_and_ours_stay(shop: Settings) -> None:
    given = _register(shop.registry_address, "treasury.payments-value", _STRANGER)

    assert given > END_OF_IDS.id
    assert push(shop.registry_address).there == OURS


def test_a_collision_is_refused_by_name_and_nothing_is_written(shop: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = Wanted("treasury.refunds-value", 1, 999_500_000, {**_STRANGER, "name": "Refund"})
    registry = Registry(shop.registry_address)
    Apicurio(registry).put([foreign])
    ours = Wanted("hotline.tickets-hotline.tickets.Imagined", 1, foreign.id, {**_STRANGER, "namespace": "hotline.tickets"})

    found = look(registry, [ours])

    assert found.collisions == [f"id {foreign.id} is that of another schema there, and of {ours} here"]
    assert registry.schema(foreign.id) is not None


@pytest.mark.timeout(900)
def test_up_with_a_registry_shows_it_keeps_its_schemas_over_a_restart_and_down_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    port = pick_free(7)
    with tempfile.TemporaryDirectory(prefix="hotline-interop-") as folder, pytest.MonkeyPatch.context() as environment:
        settings = Settings(
            home=Path(folder), kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4, registry_port=port + 5
        )
        for name, value in settings.environment().items():
            if name.startswith("HOTLINE_"):
                environment.setenv(name, value)
        with running_stack(settings, "--registry"):
            assert exit_code(["status", "--json"]) == 0
            shown = {entry["name"]: entry["state"] for entry in json.loads(capsys.readouterr().out)["processes"]}
            given = _register(settings.registry_address, "treasury.payments-value", _STRANGER)
        assert is_free(port + 5)
        with running_stack(settings, "--registry", "--parts-only"):
            kept = Registry(settings.registry_address)

            assert kept.version("treasury.payments-value", 1) is not None
            assert (kept.version("treasury.payments-value", 1) or (0, ""))[0] == given
            assert look(kept, OURS).there == OURS
        assert exit_code(["down", "--wipe"]) == 0

    assert shown["registry"] == "running"
    assert {"desk", "relay", "api"} <= shown.keys()
