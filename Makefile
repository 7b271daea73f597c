# One entrance for people and CI. Everything is installed into .venv; nothing is needed beforehand
# but Python >= 3.11, git and make.
PYTHON ?= python3
PRESET ?= web
# Processes that run the tests, each with files of its own.
JOBS ?= auto
# What the demo is told reaches it by the environment and as it was typed: a path may hold `$`,
# quotes and spaces, which neither make nor a shell is to read.
override LIBRARY := $(value LIBRARY)
override OUT := $(value OUT)
export LIBRARY PRESET OUT
VENV := .venv
BIN := $(VENV)/bin
ALONE := tests/browser tests/system
HERE := not gpu and not other_user and not shared_media and not slow
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: help install install-system demo test coverage test-long lint types imports bench prefect-schema clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# uv is installed into a small environment of its own, so that the system's Python stays as it is.
.cache/uv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "DarkStream needs Python >= 3.11")'
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: .cache/uv/bin/uv pyproject.toml uv.lock
	.cache/uv/bin/uv sync --quiet --frozen
	touch $@

install: $(VENV)/.installed ## Install DarkStream and what develops it into .venv

install-system: ## Install the Debian packages that make the sandbox and the tests complete
	@deployments/install-system.sh

demo: install ## Convert a small library of real clips (LIBRARY=~/Videos PRESET=web: your own)
	@BIN=$(BIN) deployments/demo.sh

lint: install ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## Types
	$(BIN)/mypy

imports: install ## The one-way rule between the rooms
	$(BIN)/lint-imports

# Whole systems and browsers are tested one after another, with nothing beside them: each takes all
# cores, and what is only slow is not to be taken for what hangs.
test: install install-system lint types imports ## Everything that must hold
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "$(HERE)" --cov --cov-report= \
		--durations=40 $(or $(TESTS),$(ALONE:%=--ignore=%))
	$(if $(TESTS),,$(BIN)/python -m pytest -m "$(HERE)" --cov --cov-append \
		--cov-report=term:skip-covered --durations=40 $(ALONE))
	$(if $(TESTS),,@$(MAKE) --no-print-directory coverage)

# Kept apart from pytest's own gate: the rooms that decide are held to more than the rest.
coverage:
	$(BIN)/coverage report --format=total --fail-under=85
	$(BIN)/coverage report --fail-under=100 --skip-covered \
		--include='darkstream/model/*,darkstream/planning/*,darkstream/media/command/*'

test-long: install install-system ## What takes longer, or needs the shared media
	$(BIN)/python -m pytest -m "slow or shared_media" $(TESTS)

bench: install install-system ## The benchmarks, as ratios against named peers
	$(BIN)/python -m benchmarks

prefect-schema: install ## Write down what Prefect's migrations make, after another Prefect was locked
	$(BIN)/python tests/prefect_migrations.py > $(VENV)/prefect_schema.sql
	mv $(VENV)/prefect_schema.sql darkstream/server/prefect_schema.sql

clean: ## Remove what make installed and built
	rm -rf $(VENV) .cache .demo .mypy_cache .ruff_cache .pytest_cache .coverage* htmlcov
