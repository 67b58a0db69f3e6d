"""Set-up and running: local parts, the supervisor, the `hotline` command, the simulator of the demo."""
