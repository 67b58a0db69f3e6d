"""Programs of strangers against a real stack. Collected only when this folder is named on the command line: `make interop`."""
