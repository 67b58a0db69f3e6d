"""Tests of the query application, on a real Postgres."""
