# Everything a newcomer runs. `make demo` and `make test` install what they need and say what they do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
STAMP := $(VENV)/.$(shell sha256sum $(LOCK) | cut -c1-16)
# One more than the two cores we count on: many tests wait for servers.
WORKERS ?= 3
FLOOR ?= 0
# Real hosts, browsers and brokers share two cores while tests run side by side. What failed there has to hold alone; a
# test that fails alone has failed, and any other end than failed tests (1) is not tried again.
ALONE = { [ $$? = 1 ] && echo "== what failed beside other tests, once more and alone" && \
	  $(BIN)/pytest -q --last-failed --last-failed-no-failures none; }
DATABASE_TESTS := tests/dashboard tests/alerting tests/portal tests/deployments tests/stories
# A test that hangs says where, and fails: each has deadlines of its own and ends long before.
NO_HANG := -o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true

HOST_PACKAGES := systemd-container debootstrap iproute2 openssh-client gcc libc6-dev
DEMO_PACKAGES := $(HOST_PACKAGES) prometheus prometheus-alertmanager
TEST_PACKAGES := $(DEMO_PACKAGES) rsync postgresql chromium

.PHONY: help demo run test test-full coverage check bench lock clean venv packages-demo packages-test

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: packages-demo venv ## the whole product on this machine: two real servers, bot, portal
	@exec $(BIN)/python -m sandbox demo --port $(PORT)

run: venv ## the portal alone on http://127.0.0.1:8080 (PORT changes it)
	@PORT=$(PORT) exec $(BIN)/python -m portal.run

test: packages-test ## prove it, in 15 minutes at most
	@echo "== the servers' Debian image, beside the rest (the first time, about a minute)"
	@$(PYTHON) -m sandbox hosts base >/dev/null 2>&1 & $(MAKE) --no-print-directory venv; \
	  echo "== 1/3 lint and types"; $(MAKE) --no-print-directory check; wait
	@echo "== 2/3 everything, on SQLite, $(WORKERS) tests at a time"
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile $(NO_HANG) --durations=15 -m "not full" $(ARGS) || $(ALONE)
	@echo "== 3/3 what concerns the database, on PostgreSQL"
	@$(BIN)/python -m tests.postgres $(BIN)/pytest -q -n $(WORKERS) --dist loadfile $(NO_HANG) \
	  -m "not full and not hosts and not browser and not monitoring" $(DATABASE_TESTS) || [ $$? = 77 ] || \
	  $(BIN)/python -m tests.postgres $(BIN)/pytest -q --last-failed --last-failed-no-failures none

test-full: packages-test venv ## every matrix at full size (hours)
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --durations=30 $(ARGS)
	@$(BIN)/python -m tests.postgres $(BIN)/pytest -q -n $(WORKERS) --dist loadfile $(DATABASE_TESTS) || [ $$? = 77 ]

# Without what needs root, a browser or hours: the same number on every machine. The floor is CI's.
coverage: venv ## lines and branches that tests reach without servers and browser (FLOOR=N: fail below N %)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -n $(WORKERS) --dist loadfile $(NO_HANG) \
	  -m "not full and not hosts and not browser" $(ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report --fail-under=$(FLOOR)

check: venv ## lint, types, layers, migrations
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python manage.py makemigrations --check --dry-run -v0
	@$(BIN)/python -m portal.compatibility

bench: packages-test venv ## what we promise about speed, measured beside the peers in one run
	@$(BIN)/python -m benchmarks $(ARGS)

lock: venv ## resolve requirements/*.in again into the hash-locked *.txt
	@for name in base bot dev; do \
	  (cd requirements && ../$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $$name.in -o $$name.txt); done

clean: ## remove the environment and all state of this checkout
	rm -rf $(VENV) .state .coverage .coverage.* build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

venv: $(STAMP)

$(STAMP): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=… to another one."; exit 1; }
	@echo "== Python packages into $(VENV) (about half a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@rm -f $(VENV)/.[0-9a-f]*; touch $@

# Debian packages: installed when they are missing and we may; else the parts that need them say that they were left out.
define install
	@missing=""; for package in $(1); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "Not a Debian system: without$$missing some parts are left out."; exit 0; fi; \
	sudo=""; if [ $$(id -u) != 0 ]; then \
	  sudo -n true 2>/dev/null || { echo "No root and no sudo: without$$missing some parts are left out."; exit 0; }; \
	  sudo="sudo -n"; fi; \
	echo "== Debian packages:$$missing"; \
	$$sudo apt-get update -qq && \
	$$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $$missing >/dev/null
endef

packages-demo:
	$(call install,$(DEMO_PACKAGES))

packages-test:
	$(call install,$(TEST_PACKAGES))
