"""One file per command of `hotline`; each has a click command named COMMAND, entered in the table of `deploy.hotline`."""
