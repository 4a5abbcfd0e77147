# Two commands on a fresh machine: `make demo` runs the main job, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: docs demo demo-llm bench-speed test lint style wheels install clean

install: $(STAMP)

$(STAMP): pyproject.toml bench/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]' --editable 'bench[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/dcpc-bench demo --output runs/demo

# The language model comes in a wheel of its own; without it the command says how to install it.
demo-llm: $(STAMP)
	$(BIN)/dcpc-bench demo --llm --output runs/demo-llm

bench-speed: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python bench/benchmarks/speed.py

# By file: what a file's tests share is made once, by one of the workers.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadscope

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheels: $(STAMP)
	$(BIN)/python scripts/check_wheels.py

# Not --quiet: it would hide from --strict the warnings that must fail it.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

style: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build site
