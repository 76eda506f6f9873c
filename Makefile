# make demo and make test do all the set-up; everything else is for development.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOC_STAMP := $(VENV)/.installed-doc
DOC_JOBS ?= 2
DOC_MADE := doc/_build doc/generated doc/auto_tutorials doc/auto_examples doc/sg_execution_times.rst
PYTEST := $(BIN)/python -m pytest
# Files of tests are spread over processes of one thread each.
JOBS ?= 2
SPREAD = -n $(JOBS) --dist loadfile
test test-slow: export OMP_NUM_THREADS = 1
# Compiled modules are kept: the many processes that tests start need not compile them again.
test test-slow: export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint format doc doc-fast clean

help:
	@echo "make demo       decode one recording, from file to score (sets everything up first)"
	@echo "make test       run the tests, the slow ones left out (sets everything up first)"
	@echo "make test-slow  run the slow tests"
	@echo "make lint       ruff, codespell, import-linter"
	@echo "make format     ruff format"
	@echo "make doc        build the book, with every tutorial and example run (doc/_build/html)"
	@echo "make doc-fast   build it without running them"
	@echo "make clean      remove the environment and every build output"
	@echo "Variables: PYTHON=$(PYTHON) (to build the environment), VENV=$(VENV), JOBS=$(JOBS) (processes of the tests), ARGS= (for pytest, demo and sphinx),"
	@echo "DOC_JOBS=$(DOC_JOBS) (examples run at once)"

# The stamp is newer than the three files that say what is installed: a second call installs nothing.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	@command -v "$(PYTHON)" > /dev/null || { \
		echo "'$(PYTHON)' was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "brainof_toolbox needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a minute or two, once."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

demo: $(STAMP)
	@mkdir -p outputs
	$(BIN)/brainof demo --figure outputs/demo.png $(ARGS)

test: $(STAMP)
	$(PYTEST) $(SPREAD) -m "not slow and not gpu" $(ARGS)

test-slow: $(STAMP)
	$(PYTEST) $(SPREAD) -m "slow and not gpu" $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(DOC_STAMP): $(STAMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[doc]'
	@touch $@

# A warning is an error. Examples that have not changed since they were last run are not run again.
doc: $(DOC_STAMP)
	BRAINOF_DOC_JOBS=$(DOC_JOBS) OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q $(ARGS) doc doc/_build/html
	@echo "The book: doc/_build/html/index.html"

doc-fast: $(DOC_STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -D plot_gallery=0 $(ARGS) doc doc/_build/html

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache outputs $(DOC_MADE)
	find brainof_toolbox tests -name __pycache__ -type d -prune -exec rm -rf {} +
