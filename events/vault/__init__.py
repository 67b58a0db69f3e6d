"""The vault: keys of people, values sealed with them, and sealed files. Nothing in a running process opens anything yet."""
