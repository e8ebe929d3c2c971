# The two commands are `make up` and `make test`; the others are habits.
PYTHON ?= python3
BIN := .venv/bin
# Rooms whose tests also run on PostgreSQL.
ON_BOTH := $(addprefix tests/,accounts tenancy audit console conversations desk documents evaluation folders jobs search settings)
ON_BOTH += tests/site/test_wall.py
# Others that start no installation.
ALONE := $(addprefix tests/,answer crash ingest structure)
IN_PROCESS := in-process-postgresql in-process-others in-process-sqlite

.DEFAULT_GOAL := help
.PHONY: help up test $(IN_PROCESS) site-secrets lint format bench bench-site bench-search load deep

help:  ## Lists what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up:  ## Installs what is missing, starts Muniment and prints its address; Ctrl-C stops it
	@exec $(PYTHON) deploy/setup.py up

test:  ## Installs what the tests need and runs them all
	@$(PYTHON) deploy/setup.py test
	@PYTHONPATH=platform:. $(BIN)/lint-imports
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target $(IN_PROCESS)
	@$(BIN)/python -m pytest -m "not deep" $(addprefix --ignore=,$(ON_BOTH) $(ALONE))

# Rooms whose tests start no installation run two at a time, each in a process and with a database of its own.
in-process-sqlite:
	@$(BIN)/python -m pytest -q -m "not deep" $(ON_BOTH)

in-process-postgresql:
	@MUNIMENT_TEST_DATABASE=postgresql $(BIN)/python -m pytest -q -m "not deep" $(ON_BOTH)

in-process-others:
	@$(BIN)/python -m pytest -q -m "not deep" $(ALONE)

site-secrets:  ## Makes the secrets of a site that runs in containers; keeps those that are there
	@$(PYTHON) deploy/site_secrets.py

lint:  ## Checks style, types and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=platform:. $(BIN)/lint-imports

format:  ## Formats the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench:  ## Measures the main job on this machine; FILES="..." ingests those instead of made-up text
	@$(PYTHON) deploy/setup.py test
	@PYTHONPATH=platform:. $(BIN)/python -m tests.quality.bench $(FILES)

bench-site:  ## Measures what a site's second wall costs a request
	@$(PYTHON) deploy/setup.py test
	@PYTHONPATH=platform:. $(BIN)/python -m tests.quality.wall_cost

bench-search:  ## Measures a page of search results at 20,000 and 100,000 passages
	@$(PYTHON) deploy/setup.py test
	@PYTHONPATH=platform:. $(BIN)/python -m tests.quality.search_speed

load:  ## Measures a site under PEOPLE=200 signed-in people for SECONDS=60
	@$(PYTHON) deploy/setup.py load
	@PYTHONPATH=platform:. $(BIN)/python -m tests.quality.load $(or $(PEOPLE),200) $(or $(SECONDS),60)

deep:  ## Runs the tests that take long: fuzzing, load, large corpora
	@$(PYTHON) deploy/setup.py test
	@$(BIN)/python -m pytest -m deep --timeout=7200
	@MUNIMENT_TEST_DATABASE=postgresql $(BIN)/python -m pytest -m deep --timeout=7200 tests/crash
