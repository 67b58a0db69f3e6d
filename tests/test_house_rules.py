"""The rules of this house, held by reading its own source: sizes, docstrings, doors, and words that do not belong here."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("events", "projectors", "consumers", "api", "deploy")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

FILE_LINES = 400
FUNCTION_LINES = 45
TEST_FILE_LINES = 500
FOLDER_FILES = 20  # events/, the fullest: a file for each family and a few for what they share

#: One library, one door: the only files that may import it.
DOORS = {
    "confluent_kafka": {
        *("events/wire/publisher.py", "events/wire/log_ends.py", "events/wire/elections.py"),
        *("consumers/kafka.py", "consumers/batches.py", "consumers/loop.py", "consumers/replay.py", "consumers/rebuild/worker.py"),
        *("deploy/models.py", "deploy/commands/log/replay.py", "deploy/commands/log/dead_letters.py"),
        "consumers/drift/log.py",
        "consumers/desk/stretch.py",
        "consumers/desk/away.py",
        *("deploy/topics.py", "deploy/lag.py", "deploy/parts/kafka.py", "deploy/commands/log/tail.py", "api/queries/lag.py"),
        *("deploy/administrator.py", "deploy/acls/authorizer.py"),
        "deploy/doctor/kafka.py",
        *("deploy/clients/tail_with_registry.py", "deploy/clients/tickets_to_sqlite.py"),
    },
    "fastavro": {
        *("events/wire/schemas.py", "events/wire/codec.py", "events/wire/schema_rules.py", "events/wire/schema_examples.py"),
        *("consumers/export/as_avro.py", "deploy/clients/tickets_to_sqlite.py"),
    },
    "pyarrow": {"consumers/export/as_parquet.py"},
    "cryptography": {"events/vault/sealing.py", "events/vault/wrapping.py", "api/access.py", "deploy/keys.py"},
    "jwt": {"api/access.py"},
    "uvicorn": {"api/serving.py", "api/heads.py"},
}
BANNED_NAMES = re.compile(r"(^|_)(manager|processor|utils?|helpers?|misc|common|base)(_|\.|$)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in FILES:
        yield _name(path), ast.parse(path.read_text(encoding="utf-8"))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize(("files", "limit"), [(FILES, FILE_LINES), (TESTS, TEST_FILE_LINES)], ids=["code", "tests"])
def test_a_file_has_one_subject_and_fits_in_a_few_screens(files: list[Path], limit: int) -> None:
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}

    assert {name: lines for name, lines in lengths.items() if lines > limit} == {}


def test_a_function_fits_in_one_look() -> None:
    long = {
        f"{name}:{function.lineno} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for name, tree in _trees()
        for function in _functions(tree)
    }

    assert {name: lines for name, lines in long.items() if lines > FUNCTION_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in _trees() if not ast.get_docstring(tree)] == []


def test_nothing_is_printed_and_only_the_settings_read_the_environment() -> None:
    def offends(name: str, node: ast.AST) -> bool:
        printed = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        reads = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} and isinstance(node.value, ast.Name)
        return printed or (reads and name not in {"events/settings.py"})

    found = [f"{name}:{node.lineno}" for name, tree in _trees() for node in ast.walk(tree) if offends(name, node)]  # type: ignore[attr-defined]
    assert found == []


def test_no_handler_swallows_everything() -> None:
    """A bare or broad `except` must raise again or keep the failure for whoever must answer for it."""

    def broad(handler: ast.ExceptHandler) -> bool:
        named = isinstance(handler.type, ast.Name) and handler.type.id in {"Exception", "BaseException"}
        return handler.type is None or named

    def raises_or_keeps(handler: ast.ExceptHandler) -> bool:
        kept = any(
            isinstance(n, ast.Assign | ast.Call | ast.Return) and handler.name and _mentions(n, handler.name) for n in ast.walk(handler)
        )
        return kept or any(isinstance(n, ast.Raise) for n in ast.walk(handler))

    found = [
        f"{name}:{node.lineno}"
        for name, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and broad(node) and not raises_or_keeps(node)
    ]
    assert found == []


def _mentions(node: ast.AST, word: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == word for n in ast.walk(node))


def test_no_moment_is_without_its_zone() -> None:
    naive = re.compile(r"datetime\.(utcnow|utcfromtimestamp)\(|datetime\.now\(\)|\.fromtimestamp\([^,()]*\)")

    assert [_name(path) for path in FILES if naive.search(path.read_text(encoding="utf-8"))] == []


def test_a_library_has_one_door() -> None:
    found = {}
    for name, tree in _trees():
        for node in ast.walk(tree):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            for library in {module.split(".")[0] for module in modules} & DOORS.keys():
                if name not in DOORS[library]:
                    found[name] = library
    assert found == {}


def test_no_test_sleeps() -> None:
    offenders = [_name(path) for path in TESTS if path != Path(__file__) and "time.sleep(" in path.read_text(encoding="utf-8")]

    assert offenders == []


def test_no_file_is_called_after_nothing_in_particular() -> None:
    assert [_name(path) for path in FILES if BANNED_NAMES.search(path.stem)] == []


def test_a_room_holds_no_more_than_one_can_overlook() -> None:
    crowded: dict[str, int] = {}
    for path in FILES:
        crowded[_name(path.parent)] = crowded.get(_name(path.parent), 0) + 1

    assert {folder: count for folder, count in crowded.items() if count > FOLDER_FILES} == {}


def test_every_room_is_part_of_an_installation() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]

    assert sorted(told) == sorted({str(path.parent.relative_to(ROOT)).replace("/", ".") for path in FILES})


def test_no_file_names_a_package_registry_or_a_path_of_somebody_s_machine() -> None:
    hosts = re.compile(
        r"https?://[a-z0-9.-]*(maven|py" + r"pi|pythonhosted|npmjs|debian|crates)[a-z0-9.-]*|/ho" + r"me/[a-z]+/|/wo" + r"rk/main",
        re.IGNORECASE,
    )
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    found = []
    for name in tracked.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix not in {".png", ".eml"} and hosts.search(path.read_text(encoding="utf-8", errors="replace")):
            found.append(name)
    assert found == []


def test_no_repr_of_a_key_or_a_secret_shows_it() -> None:
    """Dataclasses with a field called key, secret or clear hide it from their repr; the key of a record is none of those."""
    found = []
    for name, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef) or not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
                continue
            for field in node.body:
                if node.name != "Encoded" and isinstance(field, ast.AnnAssign) and ast.unparse(field.target) in {"key", "secret", "clear"}:
                    hidden = field.value is not None and "repr=False" in ast.unparse(field.value)
                    own_repr = any(isinstance(n, ast.FunctionDef) and n.name == "__repr__" for n in node.body)
                    if ast.unparse(field.annotation) == "bytes" and not (hidden or own_repr):
                        found.append(f"{name}:{field.lineno}")
    assert found == []
