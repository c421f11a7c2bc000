# `make test` and `make demo` set everything up by themselves in .venv: Python 3.11 or newer and a network are enough.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
JOBS ?= 2
SECONDS ?= 60
SEED ?= 0
READERS ?=
BIN := .venv/bin
STAMP := .venv/.molvis-installed
# Checks the types of the page of the service, where npm is at hand.
TSC := build/node/node_modules/.bin/tsc
PACKAGES := core molvis_cli $(filter-out plugins/_template,$(patsubst %/pyproject.toml,%,$(wildcard libraries/*/pyproject.toml plugins/*/pyproject.toml)))
PROJECTS := pyproject.toml $(addsuffix /pyproject.toml,$(PACKAGES))

# uv reads a tool's settings from the user's files too; what is installed here is decided by constraints.txt alone.
INSTALL = $(BIN)/uv pip install --quiet --constraints constraints.txt --build-constraints constraints.txt

# Which PyTorch: `cuda` is the package index's, `cpu` that for CPUs alone, which PyTorch's own index has. On Linux with
# x86-64 the first takes 6.5 GB and the second 1.7 GB; elsewhere they are the same. `auto` takes the second where there
# is no NVIDIA GPU and PyTorch's index answers with the versions of constraints.txt; what is installed does not answer
# for it.
TORCH ?= auto
PICK_TORCH = torch=$(TORCH); \
	if [ "$$torch" = auto ]; then \
		torch=cuda; \
		if [ "$$(uname -sm)" = "Linux x86_64" ] && ! nvidia-smi -L >/dev/null 2>&1; then \
			UV_HTTP_RETRIES=0 UV_HTTP_TIMEOUT=15 $(INSTALL) --python $(BIN)/python --dry-run --reinstall --no-deps \
				--torch-backend cpu torch torchvision >/dev/null 2>&1 && torch=cpu || echo "no NVIDIA GPU here, but PyTorch's index of \
	CPU builds does not answer: the package index's build it is, with CUDA"; \
		fi; \
	fi; \
	case "$$torch" in \
		cpu) flag="--torch-backend cpu"; size="1.7 GB" ;; \
		cuda) flag=""; size="6.5 GB on Linux, most of it CUDA for PyTorch; make TORCH=cpu takes 1.7 GB" ;; \
		*) echo "error: TORCH is '$$torch'; it must be auto, cpu or cuda"; exit 1 ;; \
	esac

# Without bytecode every process that a test starts would compile PyTorch's sources and ours anew: half of its time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup browser test test-fast lint demo docs site docs-serve pictures wheels format fuzz test-alone clean

help:
	@echo "make test                      set up if needed, then lint, check types and layers, and run every test"
	@echo "make test-fast                 set up if needed, then run the tests that are quick, for the inner loop"
	@echo "make browser                   install Debian's Chromium where it may, for the tests of the service's page"
	@echo "make demo                      set up if needed, then identify a few real spectra"
	@echo "make test-alone PACKAGE=core   install one package into an environment of its own, and test it there"
	@echo "make docs                      rewrite what follows from the code: tables of docs/, CHANGELOG.md, the conda recipe"
	@echo "make site                      build the documentation's site into build/site, where every warning is an error"
	@echo "make docs-serve                show the site at port 8000, and anew after every change of a page"
	@echo "make pictures MERMAID=FILE     draw the pictures of docs/ anew, with Chromium and Mermaid's script (npm pack mermaid)"
	@echo "make wheels                    build wheels and source distributions of all packages into dist"
	@echo "make fuzz SECONDS=60           every reader on damaged files, so long each; READERS=\"mgf mzml\" for some of them"
	@echo "make format                    put the code into the house's format"
	@echo "make clean                     remove the environment and whatever was made"
	@echo
	@echo "On Linux the environment takes 6.5 GB, most of it CUDA for PyTorch, or 1.7 GB with PyTorch for CPUs, which is"
	@echo "taken where there is no NVIDIA GPU. TORCH=cpu or TORCH=cuda decides (after make clean, if there is one already)."

setup: $(STAMP)

$(BIN)/uv: constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python of version 3.11 or newer was found; name one: make PYTHON=/path/to/python3"; exit 1; }
	@echo "making .venv with $(PYTHON)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

$(STAMP): $(BIN)/uv $(PROJECTS) constraints.txt molvis_cli/hatch_build.py
	@$(PICK_TORCH); \
	echo "installing molvis and its tools into .venv ($$size); the first time takes some minutes"; \
	$(INSTALL) --python $(BIN)/python $$flag --group dev $(foreach package,$(PACKAGES),--editable "./$(package)[test]")
	@touch $@

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/ty check --quiet
	$(BIN)/lint-imports
	@if $(MAKE) -s $(TSC) 2>/dev/null; then $(TSC) -p packaging/page; \
	else echo "the types of the service's page are not checked: npm is missing, or does not reach its registry"; fi

$(TSC): packaging/page/package.json
	@command -v npm >/dev/null && mkdir -p build/node && cp packaging/page/package.json build/node \
	&& npm install --prefix build/node --no-audit --no-fund --no-package-lock --silent >/dev/null 2>&1 && touch $(TSC)

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile

# The tests of the page drive a Chromium; where there is none and none may be installed, they are skipped and say so.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	as_root=""; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
	{ command -v apt-get >/dev/null && $$as_root apt-get -qq update && \
		$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install chromium; } || \
	echo "there is no Chromium, and it cannot be installed here: the tests of the page will be skipped"

# Every package, without what takes more than a second or two; neither types nor layers.
test-fast: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile -m "not slow and not full"

demo: $(STAMP)
	$(BIN)/molvis demo

# Tests compare these files with what they are made from.
docs: $(STAMP)
	PYTHONPATH=tests/support $(BIN)/python -m reference
	PYTHONPATH=tests/support $(BIN)/python -m changelog
	PYTHONPATH=tests/support $(BIN)/python -m conda

# The settings are in mkdocs.yml. The variable silences an announcement about the tool's successor.
site: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

pictures: $(STAMP)
	@test -f "$(MERMAID)" || { echo "error: name Mermaid's script, such as MERMAID=package/dist/mermaid.min.js"; exit 1; }
	PYTHONPATH=tests/support $(BIN)/python -m pictures $(MERMAID)

wheels: $(STAMP)
	rm -rf dist
	$(BIN)/uv build --quiet --all-packages --no-build-isolation --python $(BIN)/python --out-dir dist

# Each reader in a process of its own; what does harm is left in build/fuzz.
fuzz: $(STAMP)
	PYTHONPATH=tests/support OMP_NUM_THREADS=1 $(BIN)/python -m fuzz --seconds $(SECONDS) --seed $(SEED) $(READERS)
	PYTHONPATH=tests/support OMP_NUM_THREADS=1 $(BIN)/python -m jcamp_mutants --seed $(SEED)

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# A package must not lean on what another one happens to install. With PYTHON=..., under that one.
test-alone: ALONE = $(if $(filter command line environment,$(origin PYTHON)),$(PYTHON),$(BIN)/python)
test-alone: $(BIN)/uv
	@test -f "$(PACKAGE)/pyproject.toml" || { echo "error: name a package's folder, such as PACKAGE=core or PACKAGE=plugins/molvis-losses"; exit 1; }
	$(BIN)/uv venv --quiet --clear --python "$(ALONE)" build/alone/$(PACKAGE)
	@$(PICK_TORCH); echo "installing $(PACKAGE) into build/alone"; \
	$(INSTALL) --python build/alone/$(PACKAGE)/bin/python $$flag --editable "./$(PACKAGE)[test]"
	OMP_NUM_THREADS=1 build/alone/$(PACKAGE)/bin/python -m pytest $(PACKAGE)/tests

clean:
	rm -rf .venv build dist demo-output .pytest_cache .ruff_cache .hypothesis .import_linter_cache
