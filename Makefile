# One entrance for people and CI. Everything is installed into .venv; nothing is needed beforehand
# but Python >= 3.11, git and make.
PYTHON ?= python3
LIBRARY ?=
PRESET ?= web
OUT ?=
VENV := .venv
BIN := $(VENV)/bin
HERE := not gpu and not other_user and not shared_media and not slow
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: help install install-system demo test coverage test-long lint types imports bench clean

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
	@BIN=$(BIN) LIBRARY="$(LIBRARY)" PRESET="$(PRESET)" OUT="$(OUT)" deployments/demo.sh

lint: install ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## Types
	$(BIN)/mypy

imports: install ## The one-way rule between the rooms
	$(BIN)/lint-imports

test: install install-system lint types imports ## Everything that must hold
	$(BIN)/python -m pytest -m "$(HERE)" --cov --cov-report=term:skip-covered $(TESTS)
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

clean: ## Remove what make installed and built
	rm -rf $(VENV) .cache .demo .mypy_cache .ruff_cache .pytest_cache .coverage* htmlcov
