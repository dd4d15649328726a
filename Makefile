# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo ui test check bench format clean install sbom

demo: $(READY)  ## learn Pendulum from 200 comparisons
	$(BIN)/rlhf train pendulum-preference

ui: $(READY)  ## the pages of the runs in .rlhf
	$(BIN)/rlhf ui

test: $(READY)  ## all tests, up to four at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

check: $(READY)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## beside the peers, each in an environment of its own: short form, ten minutes
	$(BIN)/python benchmarks/peers/compare.py --short

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sbom: $(READY)  ## a software bill of materials (CycloneDX) of constraints.txt: dist/sbom.json
	$(BIN)/python tools/sbom.py dist/sbom.json

install: $(READY)

# torch goes first and by its exact version, so that no later one is fetched beside it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or later is needed, this is {v[0]}.{v[1]}")'
	@echo "installing into $(VENV): about 2 GB, a few minutes"
	@echo "1 of 4: virtual environment"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "2 of 4: torch, the largest part"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt $$(grep '^torch==' constraints.txt)
	@echo "3 of 4: everything else"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@echo "4 of 4: ready; to use rlhf in this terminal: source $(VENV)/bin/activate"
	@touch $(READY)

clean:  ## remove the environment and everything that was built; runs in .rlhf stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
