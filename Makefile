# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Needs Python >= 3.11 with venv, a C/C++ compiler and cmake (llama.cpp is compiled once, 5-6 minutes on two cores).
.DELETE_ON_ERROR:
.PHONY: demo app test check format snapshots cold-start pictures walk seeds seed lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Nothing here may reach for a model hub; tests and the demonstration run on what is shipped.
export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export TOKENIZERS_PARALLELISM := false

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("finetune-tui needs Python 3.11 or newer; run: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	@echo "Installing; the first time compiles llama.cpp, which takes some minutes ..."
	$(BIN)/pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

demo: $(READY)            ## run the whole loop on the shipped model
	$(BIN)/finetune-tui demo

app: $(READY)             ## open the app
	$(BIN)/finetune-tui

check: $(READY)           ## the fast part: format, lint, types, import contracts, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not process"

test: $(READY)            ## everything that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n auto -m "not process" --hypothesis-profile=same --durations=15
	$(BIN)/pytest -m process --hypothesis-profile=same --durations=15

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

snapshots: $(READY)       ## renew the pictures that the layout tests compare with; look at the diff before committing
	$(BIN)/pytest -q tests/tui -k snapshot --snapshot-update

cold-start: $(READY)      ## time from start to first painted screen, against an empty Textual app
	$(BIN)/python -m benchmarks.cold_start

pictures: $(READY)        ## make the README's pictures of every screen, from a real run of the demonstration
	$(BIN)/python -m docs.pictures

walk: $(READY)            ## record the first five minutes in a real terminal
	$(BIN)/python -m docs.walk

seeds: $(READY)           ## the demonstration with five seeds
	$(BIN)/python -m benchmarks.demo_seeds

seed: $(READY)            ## make the seed feedback again by running the shipped model
	$(BIN)/python -m assets.demo.make_seed

lock: $(READY)            ## renew the pinned set after testing it
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
