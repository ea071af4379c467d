# make quickstart: set up and run the main job on the built-in corpus.
# make test: set up and run linter, type checker and tests.

PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version))) python3)
BIN := .venv/bin
WORKDIR := runs/quickstart

.PHONY: quickstart test slow clean

quickstart: .venv/installed
	$(BIN)/transformer-jax train configs/cldr_en_de.toml --workdir $(WORKDIR)
	$(BIN)/transformer-jax average $(WORKDIR) --last 5
	$(BIN)/transformer-jax evaluate $(WORKDIR) --checkpoint average --examples 12
	@echo
	@echo 'Translate a line of your own:'
	@echo '  echo "June 3, 2031, Japan, 24 hours" | $(BIN)/transformer-jax translate $(WORKDIR) --checkpoint average'

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

slow: .venv/installed-test
	$(BIN)/python -m pytest -m slow

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ .venv/installed

clean:
	rm -rf .venv runs
