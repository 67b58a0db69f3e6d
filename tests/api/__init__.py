"""Tests of the two HTTP applications."""
