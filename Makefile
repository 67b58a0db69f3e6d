# Needs Python 3.11 or newer and make; everything else comes from packages. `make demo` is the way in.

SHELL := /bin/sh
BIN := .venv/bin
# Extra words for pytest, such as TESTS="tests/deploy -k supervisor"
TESTS ?=
# How long the fault run does harm, and in which order
MINUTES ?= 40
SEED ?= 424242
# How many seeds the journeys play after it; more than one also takes the long form of what is short in `make test`
ROUNDS ?= 2
# Lanes of tests side by side, each with servers of its own; one takes all that need a whole stack
LANES ?= 3

.PHONY: help demo test lint bench faults interop lock env env-dev

help:
	@echo "make demo [ONCE=1]   a running hotline and one believable day; ONCE=1 checks it and stops"
	@echo "make test            linters, types, all tests on a real Kafka and a real Postgres"
	@echo "make lint | bench    linters and types | benchmarks beside their floors"
	@echo "make faults          $(MINUTES) minutes of load under faults, every promise checked; then the journeys under $(ROUNDS) seeds"
	@echo "make interop         clients of strangers against a real stack with a registry; about 280 MB are fetched the first time"
	@echo "make lock            write the lock files anew (needs uv)"

demo: env
	@$(BIN)/hotline demo $(if $(filter-out 0,$(ONCE)),--once)

test: lint
	@$(BIN)/python -m pytest -n $(LANES) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: env-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: env-dev
	@$(BIN)/python -m tests.bench

faults: env-dev
	@$(BIN)/python -m tests.faults.long --minutes $(MINUTES) --seed $(SEED)
	@$(BIN)/python -m pytest -m journey --rounds $(ROUNDS) $(TESTS)

interop: env-dev
	@$(BIN)/python -m pytest tests/interop

env:
	@sh deploy/environment.sh requirements.lock

env-dev:
	@sh deploy/environment.sh requirements-dev.lock

lock:
	@sh deploy/lock.sh
