# `make` lists the targets. Each works from a clean checkout: it makes its own .venv first.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FIGURES := configs/matrix-2018.toml
MODEL := configs/model.json
SEED := 2018
SERVERS := 100000
# Tests run side by side; `make WORKERS= test` runs them one by one.
WORKERS := -n auto --maxprocesses 4

# The first Python that fedgen supports; `make PYTHON=/path/to/python3.12 test` overrides the choice.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; \
	then echo $$python; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: help demo test check slow bench model docs images clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Dependency groups need pip >= 25.1, newer than the one that venv brings along.
$(STAMP): pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
		set -ex; \
		test -x $(BIN)/python || uv venv --quiet $(if $(PYTHON),--python $(PYTHON),--python '>=3.11,<3.14') $(VENV); \
		uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group dev --editable .; \
	elif [ -n "$(PYTHON)" ]; then \
		set -ex; \
		test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); \
		$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'; \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable .; \
	else \
		echo "make: no Python from 3.11 to 3.13 found; install one or name it: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi
	@touch $@

demo: $(STAMP) ## reconstruct Matrix, sample and validate; files go to demo/
	@mkdir -p demo
	$(BIN)/fedgen reconstruct $(FIGURES) --seed $(SEED) -o demo/matrix --force
	@echo
	$(BIN)/fedgen sample $(MODEL) --servers $(SERVERS) -o demo/large --force
	@echo
	$(BIN)/fedgen sample $(MODEL) -o demo/equal --force
	@echo
	@echo '$(BIN)/fedgen validate demo/equal --against demo/matrix -o demo/scorecard.json'
	@$(BIN)/fedgen validate demo/equal --against demo/matrix -o demo/scorecard.json --force; code=$$?; \
	case $$code in \
		0) echo; echo "Exit code 0: the sample passes for another draw of the federation that its model was fitted to." ;; \
		3) echo; echo "Exit code 3: validate rejects the sample; the rows above whose ratio is largest say where it differs." ;; \
		*) exit $$code ;; \
	esac
	@echo "The files: demo/matrix/, demo/large/ ($(SERVERS) servers), demo/equal/, demo/scorecard.json"

test: $(STAMP) ## run the tests
	@$(BIN)/python -m pytest -q $(WORKERS)

check: $(STAMP) ## run linter, formatter, type checker, import contract and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q $(WORKERS)

slow: $(STAMP) ## run the statistical tests that take minutes
	$(BIN)/python -m pytest -q -m slow

bench: $(STAMP) ## time fit and sample at growing sizes
	$(BIN)/python benchmarks/scale.py $(if $(SIZES),--sizes $(SIZES))

model: $(STAMP) ## make the built-in model anew: reconstruct Matrix from its paper, then fit
	@mkdir -p build
	$(BIN)/fedgen reconstruct $(FIGURES) --seed $(SEED) -o build/matrix-2018 --force
	$(BIN)/fedgen fit build/matrix-2018 -o $(MODEL) --force

docs: $(STAMP) ## write docs/commands.md anew from the command line
	$(BIN)/typer fedgen.cli utils docs --name fedgen --title "The commands" --output docs/commands.md

images: $(STAMP) ## draw the figures of README anew; FEDGEN_DATA names the folder of the stand-in snapshot
	$(BIN)/python docs/images/make.py

clean: ## remove everything that the other targets made
	rm -rf $(VENV) .synapse demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
