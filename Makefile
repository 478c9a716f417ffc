# make demo: install into .venv, denoise a real noisy image, say where the picture and the page are
# make test: lint and all tests

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test lint bench docs clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing hush and what it needs into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
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

docs: $(STAMP)
	@$(BIN)/python docs/make_reference.py

clean:
	@rm -rf .venv demo build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
