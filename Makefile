# Every command makes its own virtual environment and installs what it needs; nothing else has to be there.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# What else is installed, and the constraints on it. `make test-lowest` and `make coverage` have environments of their own.
WITH := --group test --group check
CONSTRAINTS :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-long test-lowest test-lowest-smoke test-web test-web-smoke
.PHONY: pictures smoke chaos coverage measure check bench soak clean

help: ## Show these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

# Another distribution, `aioq`, has the same module and command: where it is, it is taken out first.
$(VENV)/made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/bin/pip uninstall -qq --yes aioq
	$(VENV)/bin/pip install --quiet --editable ".[embedded,uvloop]" $(WITH) $(CONSTRAINTS)
	touch $@

demo: $(VENV)/made ## Run the example job on real documents: enqueue, work, fail, requeue
	$(VENV)/bin/aioq demo

test: $(VENV)/made ## Run the tests on a real server
	$(RUN) -m pytest -n 6 --dist worksteal

test-all: $(VENV)/made ## Run these tests and those that take longer on each supported Python, then test-lowest and coverage
	@set -e; pythons=$$($(RUN) -m tests.versions pythons); for each in $$pythons; do \
	  $(MAKE) test-long VENV=.venv-$${each%%=*} PYTHON=$${each#*=} WITH="--group test"; \
	done
	@$(MAKE) test-lowest
	@$(MAKE) coverage

test-long: $(VENV)/made
	$(RUN) -m pytest -m "not browser" -n 5 --dist worksteal

# The suite, or the least of it, with the lowest versions that pyproject.toml promises.
LOWEST := VENV=.venv-lowest WITH="--group test" CONSTRAINTS="-c .venv-lowest.txt"

.venv-lowest.txt: pyproject.toml tests/versions.py $(VENV)/made
	$(RUN) -m tests.versions lowest > $@

test-lowest: .venv-lowest.txt ## Run the tests with the lowest supported versions of redis-py, anyio and typer
	@$(MAKE) test $(LOWEST)

test-lowest-smoke: .venv-lowest.txt
	@$(MAKE) smoke $(LOWEST)

# The browser is Debian's, and the checker of accessibility comes from npm. Where one is missing, the tests say so.
$(VENV)/made-browser: $(VENV)/made
	$(VENV)/bin/pip install --quiet --group web
	command -v chromium > /dev/null || { apt-get update -qq && apt-get install -y -qq chromium; } || true
	touch $@

$(VENV)/made-web: $(VENV)/made-browser
	npm install --silent --no-audit --no-fund --prefix $(VENV)/npm axe-core || true
	touch $@

test-web: $(VENV)/made-web ## Click through the dashboard in Chromium, against running workers
	AXE=$(VENV)/npm/node_modules/axe-core/axe.min.js $(RUN) -m pytest -m browser tests/web

test-web-smoke: $(VENV)/made-browser ## Click through each page of the dashboard once
	$(RUN) -m pytest -m browser tests/web/test_browser.py -k every_page_is_reached

pictures: $(VENV)/made-browser ## Make the pictures of the dashboard for the documentation
	$(RUN) -m tests.web.pictures docs/images

smoke: $(VENV)/made
	$(RUN) -m pytest -n 2 tests/test_first_steps.py tests/client/test_smoke.py tests/cli/test_main.py

chaos: $(VENV)/made ## Break servers, workers and networks under load (make chaos ARGS="--kills 1000 --seed 7")
	$(RUN) -m pytest -m chaos -n 4
	$(RUN) -m tests.chaos $(ARGS)

# Where coverage is installed, each process of Python starts later. So it has an environment of its own.
coverage: $(VENV)/made ## Run the tests and measure which branches they take; fails below fail_under in pyproject.toml
	@python=$$($(RUN) -m tests.versions traced) && \
	  $(MAKE) measure VENV=.venv-coverage PYTHON=$$python WITH="--group test --group coverage"

measure: $(VENV)/made
	rm -f .coverage .coverage.*
	$(RUN) -m coverage run -m pytest -n 6 --dist worksteal
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

check: $(VENV)/made ## Lint, check types and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/basedpyright
	$(VENV)/bin/lint-imports

$(VENV)/made-bench: $(VENV)/made
	$(VENV)/bin/pip install --quiet --group bench
	touch $@

bench: $(VENV)/made-bench ## Measure speed beside the protocol's floor (make bench ARGS="--quick")
	$(RUN) -m benchmarks $(ARGS)

soak: $(VENV)/made ## Keep a fleet under load and faults, and see whether anything grows (make soak ARGS="--minutes 60")
	$(RUN) -m tests.soak $(ARGS)

clean: ## Remove the virtual environments and caches
	rm -rf .venv .venv-* .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
