"""Tests of the read models, on a real Postgres; every event is delivered twice."""
