# make run: the default study, from nothing to its report.   make test: the whole suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two files of tests at a time: what a file's tests share is made once.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: run setup slurm docs test test-browser test-slurm test-all validate example bench lint lock clean

run: setup
	$(BIN)/snakemake --cores all
	@echo "Its report: results/was_lentiviral/report.html"

setup: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("hsc_pipeline needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ": say make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Snakemake's plugin for Slurm, from a lock of its own: each start of Snakemake pays for it.
slurm: $(VENV)/.slurm

$(VENV)/.slurm: requirements-slurm.lock $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-slurm.lock
	@touch $@

test: setup lint $(VENV)/.docs
	$(PYTEST) -m "not slow and not slurm and not browser"

# The pages in Debian's Chromium, with packages from a lock of their own; skipped with the reason where it cannot be had.
test-browser: $(VENV)/.browser
	$(BIN)/pytest -m browser tests/test_browser.py

$(VENV)/.browser: requirements-browser.lock $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-browser.lock
	@touch $@

# A real Slurm on this machine; as root, from Debian's packages; skipped with the reason where it cannot start.
test-slurm: slurm
	$(BIN)/pytest -m "slurm and not slow" tests/test_slurm.py

test-all: setup lint $(VENV)/.docs slurm test-browser
	$(PYTEST) -m "not slurm and not browser"
	$(BIN)/pytest -m slurm tests/test_slurm.py

# The documents as a site, build/site/index.html; its tools come from a lock of their own.  A warning fails it.
docs: $(VENV)/.docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env --conf-dir docs/site . build/site
	@echo "Its first page: build/site/index.html"

$(VENV)/.docs: requirements-docs.lock $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-docs.lock
	@touch $@

# Published outcomes beside simulated ones; writes docs/validation.md. VALIDATION_DATA=<folder>: single patients too.
validate: setup
	VALIDATION_DATA="$(VALIDATION_DATA)" $(BIN)/python validation/run.py

# Small tables of a simulated study in each format, for the tests and for tracking in a fresh clone.
example: setup
	$(BIN)/python config/tracking_example/make.py

# The engine beside its peers, a tracking run by rows, the default study by stage, in their own environment; writes benchmarks/results.md.
bench: benchmarks/.venv/.installed
	benchmarks/.venv/bin/python benchmarks/run.py
	benchmarks/.venv/bin/python benchmarks/tracking.py
	benchmarks/.venv/bin/python benchmarks/study.py

benchmarks/.venv/.installed: benchmarks/requirements.txt
	$(PYTHON) -m venv --clear benchmarks/.venv
	benchmarks/.venv/bin/pip install --quiet --disable-pip-version-check --requirement benchmarks/requirements.txt
	benchmarks/.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

# The lock names versions and hashes and no host; uv is needed only here.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra test --extra build pyproject.toml --output-file requirements.lock
	$(BIN)/python workflow/envs/make.py
	for extra in slurm docs browser; do \
		$(BIN)/python -c 'import sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*project["optional-dependencies"][sys.argv[1]], sep="\n")' $$extra | uv pip compile --universal \
			--python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements.lock \
			--output-file requirements-$$extra.lock - || exit 1; \
	done

clean:
	rm -rf $(VENV) build .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis
