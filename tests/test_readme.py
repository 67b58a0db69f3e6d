"""README.md is true where a machine can tell: its links, paths, `make` targets and commands exist."""

import re
from pathlib import Path

from deploy.hotline import COMMANDS
from deploy.parts import registry
from deploy.parts.jars import SIZE_MB

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SPANS = [span for line in re.findall(r"`([^`\n]+)`", TEXT) for span in line.split(" · ")]


def test_every_link_and_every_path_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    paths = [span for span in SPANS if re.fullmatch(r"(schemas|events|projectors|consumers|api|deploy|tests)/[\w./]*", span)]

    assert len(links) >= 5
    assert [name for name in links + paths if not (ROOT / name).exists()] == []


def test_every_make_target_and_every_command_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE))
    commands = {found[1] for span in SPANS if (found := re.match(r"(?:\.venv/bin/)?hotline (\w+)", span))}

    assert targets >= {"demo", "test", "lint", "bench", "faults"}
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
    assert commands - {name for name, _, _ in COMMANDS} == set()


def test_every_setting_it_names_exists() -> None:
    from events.settings import Settings

    named = set(re.findall(r"HOTLINE_([A-Z][A-Z_]+)", TEXT))
    assert {name for name in named if name.lower() not in Settings.model_fields} == {"SETTINGS", "TEST_PARTS"}


def test_the_size_of_what_is_fetched_is_the_same_everywhere() -> None:
    assert f"{SIZE_MB} MB of Kafka's jars" in TEXT
    assert f"fetches {registry.SIZE_MB} MB the first time" in TEXT
    assert f"fetches {registry.SIZE_MB} MB the first time" in (ROOT / "deploy" / "commands" / "up.py").read_text("utf-8")
