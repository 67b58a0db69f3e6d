"""Ends a stack of parts when the process that started it is gone, however it went; then removes the folder. For tests.

`python -m deploy.parts.leash FOLDER`, standard input held open by the starter: its end is the sign.
"""

import shutil
import signal
import sys
from pathlib import Path

from deploy.home import holders
from deploy.lives import end
from deploy.parts.identity import outside_folder

_LIMIT_S = 5.0


def main() -> None:
    """Wait, then end and remove."""
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    end(holders(folder), signal.SIGTERM, _LIMIT_S)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(outside_folder(folder), ignore_errors=True)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the starter's end reaches us anyway
    main()
