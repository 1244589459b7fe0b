# Everything a newcomer runs. `make demo` and `make test` install what they need and say what they do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8080
HOURS ?= 24
SPEED ?= 1
VENV := .venv
BIN := $(VENV)/bin
DOCS := .venv-docs
export NO_MKDOCS_2_WARNING := 1
LOCK := requirements/dev.txt
STAMP := $(VENV)/.$(shell sha256sum $(LOCK) | cut -c1-16)
# Programs that are started a thousand times are compiled once, also where somebody switched that off.
unexport PYTHONDONTWRITEBYTECODE
# Not recognised as a recursive call, so that `make -n test` only shows what it would do.
SELF = $(MAKE) --no-print-directory
# Twice the two cores we count on: two wait for servers while two compute (tests/fixtures/scheduling.py).
WORKERS ?= 4
FLOOR ?= 0
# Of the test files that take long, one of so many, drawn by the commit (tests/fixtures/drawing.py); with ARGS, all.
DRAW ?= 4
DATABASE_TESTS := tests/dashboard tests/alerting tests/portal tests/deployments tests/stories
# What they ask of a database, the others ask too: of their SQL, fourteen statements are nobody else's. `make test-full`
# asks all.
ASKED_ALREADY := $(addprefix --ignore=tests/,deployments/access/test_policy.py deployments/test_canaries.py \
  deployments/api/test_openapi.py deployments/admin deployments/github dashboard/test_situations.py \
  deployments/core/test_texts.py deployments/requests/test_nothing_unapproved.py deployments/management/test_terminal.py \
  portal/test_proxies.py portal/test_growth.py portal/test_request_limits.py portal/test_copies.py stories/test_drills.py \
  deployments/test_hops.py)
# A test that hangs says where, and fails: each has deadlines of its own and ends long before.
NO_HANG := -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

HOST_PACKAGES := systemd-container debootstrap iproute2 openssh-client gcc libc6-dev
DEMO_PACKAGES := $(HOST_PACKAGES) prometheus prometheus-alertmanager
TEST_PACKAGES := $(DEMO_PACKAGES) rsync postgresql chromium

.PHONY: help demo soak run test test-full coverage check bench docs docs-check lock clean venv packages-demo packages-test pictures

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: packages-demo venv ## the whole product on this machine: two real servers, bot, portal
	@exec $(BIN)/python -m sandbox demo --port $(PORT)

soak: packages-demo venv ## a bot's day with faults on schedule, into docs/validation.md (HOURS=24 SPEED=24: in an hour)
	@exec $(BIN)/python -m sandbox soak --hours $(HOURS) --speed $(SPEED) --port $(PORT) $(ARGS)

run: venv ## the portal alone on http://127.0.0.1:8080 (PORT changes it)
	@PORT=$(PORT) exec $(BIN)/python -m portal.run

test: packages-test ## prove it, in a quarter of an hour on two cores (DRAW=1: with every test that takes long, 45 minutes)
	@echo "== the servers' Debian image, beside the rest (the first time, about a minute)"
	@$(PYTHON) -m sandbox hosts base >/dev/null 2>&1 & $(SELF) venv; mkdir -p build; \
	  echo "== lint and types, beside the rest; what they find is shown as soon as it is known"; \
	  { $(SELF) check >build/check.txt 2>&1 || { cat build/check.txt; false; }; } & checking=$$!; \
	  failed=""; \
	  echo "== 1/2 everything, on SQLite, $(WORKERS) tests at a time"; \
	  $(BIN)/pytest -q -n $(WORKERS) --dist loadfile $(NO_HANG) --draw=$(if $(ARGS),1,$(DRAW)) --durations=15 -m "not full" $(ARGS) \
	    2>&1 | tee build/sqlite.txt || failed=tests; \
	  echo "== 2/2 what concerns the database, on PostgreSQL"; \
	  $(BIN)/python -m tests.postgres $(BIN)/pytest -q -n $(WORKERS) --dist loadfile $(NO_HANG) \
	  --database=sample \
	  --draw=$(if $(ARGS),1,$(DRAW)) -m "not full and not hosts and not browser and not monitoring" $(DATABASE_TESTS) $(ASKED_ALREADY) \
	  2>&1 | tee build/postgresql.txt || [ $$? = 77 ] || failed="$$failed PostgreSQL"; \
	  wait $$checking || failed="$$failed check"; wait; \
	  [ -z "$$failed" ] || { grep -hE "^(FAILED|ERROR|INTERNALERROR|E   |!!!)" build/sqlite.txt build/postgresql.txt | tail -60 || :; \
	  echo "== red: $$failed"; exit 1; }

test-full: packages-test venv ## every matrix at full size (hours)
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --durations=30 $(ARGS)
	@$(BIN)/python -m tests.postgres $(BIN)/pytest -q -n $(WORKERS) --dist loadfile --database=all $(DATABASE_TESTS) || [ $$? = 77 ]

# Without what needs root, a browser or hours: the same number on every machine. The floor is CI's.
coverage: venv ## lines and branches that tests reach without servers and browser (FLOOR=N: fail below N %)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -n $(WORKERS) --dist loadfile $(NO_HANG) \
	  -m "not full and not hosts and not browser" $(ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report --fail-under=$(FLOOR)

check: venv ## lint, spelling, types, layers, migrations
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python manage.py makemigrations --check --dry-run -v0
	@$(BIN)/python -m portal.compatibility

bench: packages-test venv ## what we promise about speed, measured beside the peers in one run
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(DOCS)/.stamp ## the documentation as a site with search, on http://127.0.0.1:8000, its links checked first
	@$(DOCS)/bin/mkdocs build --quiet
	@exec $(DOCS)/bin/mkdocs serve --quiet

docs-check: $(DOCS)/.stamp ## build that site into build/site; fails on a link that leads nowhere
	@$(DOCS)/bin/mkdocs build --quiet

$(DOCS)/.stamp: requirements/docs.txt
	@echo "== Python packages for the documentation into $(DOCS)"
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

pictures: packages-test venv ## pictures of the pages, light, dark and on a phone, into docs/images
	@$(BIN)/python -m tests.browser.pictures $(ARGS)

lock: venv ## resolve requirements/*.in again into the hash-locked *.txt
	@for name in base bot dev docs; do \
	  (cd requirements && ../$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $$name.in -o $$name.txt); done

clean: ## remove the environment and all state of this checkout
	rm -rf $(VENV) $(DOCS) .state .coverage .coverage.* build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

venv: $(STAMP) ## the Python packages into .venv

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
