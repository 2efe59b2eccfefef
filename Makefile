# make demo: set up and run the recipe egs/mini/v1.   make test: set up and test.
# make test-jax: the tests of model/ on Keras' JAX backend, which it installs.
# The set-up is a virtual environment in .venv, made anew only when the pins change.

PYTHON ?= python3
VENV := .venv
NJ ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: demo test test-jax check setup setup-dev clean

demo: setup
	cd egs/mini/v1 && ./run.sh --nj $(NJ)

test: setup-dev check
	$(VENV)/bin/python -m pytest

test-jax: setup-dev
	$(VENV)/bin/python -m pip install --disable-pip-version-check -q jax
	KERAS_BACKEND=jax $(VENV)/bin/python -m pytest tests/model tests/test_adding.py

check: setup-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/shellcheck $$(git ls-files '*.sh' .ci/run misc/kaldi/bin/kaldi | \
	  while read -r f; do [ -L "$$f" ] || echo "$$f"; done)

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed: make PYTHON=python3.x" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check -q -r $<
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(VENV)/bin/python -m pip install --disable-pip-version-check -q -r $<
	touch $@

clean:
	rm -rf egs/*/*/data egs/*/*/exp
