# `make demo` and `make test` build .venv from the lock files if it is missing or older.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --no-deps

.PHONY: demo test test-slow lint wheel docs notebooks gallery lock clean

# The lock files hold every dependency, so pip resolves none (--no-deps), and `pip check` finds what is missing.
# torch is a CPU build if pip finds one (an index or a folder of wheels in its configuration), else the build from PyPI.
.venv/.built: requirements.lock requirements-cpu.lock requirements-cuda.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: sleepkd needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(INSTALL) --require-hashes --requirement requirements-cpu.lock 2>/dev/null || $(INSTALL) --require-hashes --requirement requirements-cuda.lock
	$(BIN)/pip check
	$(INSTALL) --no-build-isolation --editable .
	touch $@

demo: .venv/.built
	$(BIN)/python -m examples.demo

test: .venv/.built
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: .venv/.built
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m slow

lint: .venv/.built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Build the wheel, install it into an empty environment outside the checkout, and use it there.
wheel: .venv/.built
	.ci/wheel

# The documentation site, in site/: no network, and a broken link is an error.
docs: .venv/.built
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Execute the notebooks and keep their outputs. After a change of the network that ships, and of notebooks.
notebooks: .venv/.built
	$(BIN)/python -m website.notebooks

# Draw the pictures of docs/gallery.md, of the networks that `make notebooks` trained.
gallery: .venv/.built
	$(BIN)/python -m website.gallery

# After a change of requirements.txt.
lock: .venv/.built
	$(BIN)/pip install --quiet uv
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m scripts.lock

clean:
	rm -rf runs/demo site
