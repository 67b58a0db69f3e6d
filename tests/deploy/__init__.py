"""Tests of set-up and running."""
