# make demo   the main job on shipped clips: what a person installs, and nothing else
# make test   the tests, with the development extras
# make lint   ruff and mypy

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint wheel clean

demo: $(VENV)/.demo
	$(BIN)/metaser demo

test: $(VENV)/.dev
	$(BIN)/pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[cpu]'
	touch $@

# the constraints pin what the project is developed with; torch 2.13.0 is a build without CUDA where one is at hand
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.demo
