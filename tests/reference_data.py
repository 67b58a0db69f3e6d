"""The packaged reference data in a folder of a test's own, with some of its words changed."""

from pathlib import Path

from events import reference

PACKAGED = Path(reference.__file__).parent


def changed(folder: Path, *changes: tuple[str, str]) -> Path:
    """Copy the data to `folder` and replace words that stand in it once; return the folder."""
    texts = {name: (PACKAGED / name).read_text(encoding="utf-8") for name in reference.FILES}
    for said, instead in changes:
        (name,) = (name for name, text in texts.items() if text.count(said) == 1)
        texts[name] = texts[name].replace(said, instead)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
