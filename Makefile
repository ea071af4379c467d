# make quickstart: set up and run the main job on the built-in corpus.
# make test: set up and run linter, type checker and tests; make slow: what takes longer;
# make long: what takes longest; make faults: a hundred interruptions, each compared.
# make test PYTHON=python3.13: the same with another Python, named or by path.

# What is installed lies in .venv, made by the first Python that works. A Python of
# another version that is named gets a folder of its own, as .venv-3.13; .venv stays.
VENV := .venv
ifdef PYTHON
  interpreter := $(shell .ci/find_python $(PYTHON))
  ifeq ($(interpreter),)
    $(error $(PYTHON) cannot be used)
  endif
  version_of = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  ifneq ($(wildcard .venv/bin/python),)
    ifneq ($(call version_of,.venv/bin/python),$(call version_of,$(interpreter)))
      VENV := .venv-$(call version_of,$(interpreter))
      $(info .venv has Python $(call version_of,.venv/bin/python): using $(VENV))
    endif
  endif
endif
BIN := $(VENV)/bin
INSTALL := @echo 'Installing into $(VENV): a minute or two.' && \
  $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
WORKDIR := runs/quickstart
# Where nothing may be kept, each process that a test starts compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE
# Tests of one file share what they compile and train, so files stay whole.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: quickstart test slow long faults smoke installed-test installed-smoke clean

quickstart: $(VENV)/installed
	$(BIN)/transformer-jax train configs/cldr_en_de.toml --workdir $(WORKDIR)
	$(BIN)/transformer-jax average $(WORKDIR) --last 5
	$(BIN)/transformer-jax evaluate $(WORKDIR) --checkpoint average --examples 12
	@echo
	@echo 'Translate a line of your own:'
	@echo '  echo "June 3, 2031, Japan, 24 hours" | $(BIN)/transformer-jax translate $(WORKDIR) --checkpoint average'

test: installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

slow: installed-test
	$(PYTEST) --no-loadscope-reorder -m "slow and not long"
	TRANSFORMER_JAX_TESTS_OPTIMISED=1 $(BIN)/python -m pytest -m optimised

long: installed-test
	$(PYTEST) --no-loadscope-reorder -m long

# Kills and terminates a run of two processes at random moments: about an hour.
faults: installed-test
	PYTHONPATH=.:tests $(BIN)/python tests/faults/harness.py --kills 100 --terms 20

# Train, continue, translate, evaluate: what .ci/run tries on a second Python.
smoke: installed-smoke
	TRANSFORMER_JAX_TESTS_OPTIMISED=1 $(BIN)/python -m pytest -m smoke

$(BIN)/python:
	python=$$(.ci/find_python $(PYTHON)) && "$$python" -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) .
	touch $@

installed-test: $(VENV)/installed-test

$(VENV)/installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[test]'
	touch $@ $(VENV)/installed

installed-smoke: $(VENV)/installed-smoke

$(VENV)/installed-smoke: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) . pytest beartype hypothesis
	touch $@ $(VENV)/installed

clean:
	rm -rf .venv .venv-* runs
