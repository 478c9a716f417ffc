# make demo: install into .venv, denoise a real and a simulated image, print both gains and where the pages are
# make test: lint and all tests
# make docs: the site, in docs/_build/html

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test lint bench docs clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing hush and what it needs into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,all]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/python examples/demo.py

test: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

bench: $(STAMP)
	@$(BIN)/python benchmarks/vs_careamics.py

$(BIN)/sphinx-build: $(STAMP)
	@echo "installing what the site needs into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(BIN)/sphinx-build
	@$(BIN)/python docs/make_summary.py
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "the site is docs/_build/html/index.html"

clean:
	@rm -rf .venv demo build docs/_build docs/gallery docs/generated docs/methods src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
