# Two commands do everything on a fresh machine with Python >= 3.11 and a C++ compiler: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
INSTALLED := $(VENV)/.installed

.PHONY: run test check

run: $(INSTALLED)
	$(VENV)/bin/evokern run examples/layernorm.yaml

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

check: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict evokern operators verifiers archives

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
