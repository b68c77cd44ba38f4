# Serin's commands. Each builds the virtual environment it needs, once, and again when the requirements change.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
export PYTHONUNBUFFERED := 1

# honcho gives its first process --port as PORT, so `web` comes first in both Procfiles; the others have flags
# or variables of their own. 130 is how it says that Ctrl-C ended it.
HONCHO = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho --app-root . start --port $${PORT:-8080} --procfile

.PHONY: help demo demo-bad run test check bench clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/.run ## a new version goes to everyone by itself, in a minute; all stays up until Ctrl-C
	@$(BIN)/python -m samples.demo $(DEMO)

demo-bad: $(VENV)/.run ## the same with one that fails, and is taken back; DEMO="--fails 0.2 --once" passes flags
	@$(BIN)/python -m samples.demo --fails 0.05 $(DEMO)

run: $(VENV)/.run ## the proxy and the config server, until Ctrl-C
	@$(HONCHO) Procfile || (( $$? == 130 ))

test: $(VENV)/.dev ## all tests; PYTEST="-k sticky" picks some
	$(BIN)/python -m tests.shards $(PYTEST)

check: $(VENV)/.dev ## lint, format, types, and whether generated files are fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/.bench ## Serin beside other proxies; BENCH="--rounds 9 --write" passes flags
	$(BIN)/python -m bench.proxy $(BENCH)

clean: ## remove the virtual environment and caches; state in var/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Serin needs Python 3.11 or later; on Debian: apt-get install python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'This Python cannot make virtual environments; on Debian: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt
$(VENV)/.dev: requirements-dev.txt requirements.txt
$(VENV)/.bench: requirements-bench.txt requirements.txt
$(VENV)/.run $(VENV)/.dev $(VENV)/.bench: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
