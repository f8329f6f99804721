# Two commands do everything on a fresh machine with Python >= 3.11 and a C++ compiler: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing

.PHONY: run test quick thorough check

run: $(INSTALLED)
	$(VENV)/bin/evokern run examples/layernorm.yaml

test: $(DEVELOPING)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

quick: $(DEVELOPING) # less than a minute: the tests of the rooms that start no judge
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile -m 'not thorough and not slow'

thorough: $(DEVELOPING) # the matrices that `make test` holds one case of each kind of
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile -m thorough

check: $(DEVELOPING)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict evokern operators verifiers archives

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@# From the folder that a clone called evokern lies in, `import evokern` would find the clone and not the package.
	$(VENV)/bin/python -c "import site; open(site.getsitepackages()[0] + '/evokern-checkout.pth', 'w').write('$(CURDIR)\n')"
	touch $@

$(DEVELOPING): $(INSTALLED)
	$(PIP) -e '.[dev]'
	touch $@
