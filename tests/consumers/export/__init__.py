"""Exports: the log and the facts about tickets as files."""
