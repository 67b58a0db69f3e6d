"""Tests of the intake application."""
