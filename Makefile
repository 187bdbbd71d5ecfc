# `make help` lists what there is. Extra words for a command: make test ARGS="-k webhook -x"
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

# Some containers forbid Python to keep what it compiled. A test run starts a hundred Python processes, and each would
# compile all of our code first: three seconds instead of one.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test bench-provision bench-ratelimit bench-capture bench-forward venv clean chromium

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 26

run: venv ## Run the whole service on this machine: http://localhost:8000
	@exec $(BIN)/python manage.py up $(ARGS)

test: .venv/dev.stamp chromium ## Check style, types and migrations, then run every test
	@echo "== ruff check"
	@$(BIN)/ruff check .
	@echo "== ruff format --check"
	@$(BIN)/ruff format --check .
	@echo "== mypy"
	@$(BIN)/mypy .
	@echo "== makemigrations --check"
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@echo "== pytest"
	@$(BIN)/python -m pytest -n auto $(ARGS)

bench-provision: venv ## Measure how fast databases are handed out
	@exec $(BIN)/python benchmarks/provision.py $(ARGS)

bench-ratelimit: .venv/dev.stamp ## Measure the rate limiter beside others
	@exec $(BIN)/python benchmarks/ratelimit.py $(ARGS)

bench-capture: venv ## Measure webhook inboxes: taking in, lists, event streams
	@exec $(BIN)/python benchmarks/capture.py $(ARGS)

bench-forward: venv ## Measure forwarding: deliveries, what they cost capturing, slow destinations
	@exec $(BIN)/python benchmarks/forward.py $(ARGS)

venv: .venv/run.stamp ## Make .venv with what the service needs

clean: ## Remove .venv and caches; the data in .data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp holds the requirements it was made from and is written last: an install that was cut off has none, and
# one from other requirements differs. Contents, because a git checkout changes times at will.
FORCE:
.venv/run.stamp: FORCE
	@$(call install,requirements.txt,requirements.txt constraints.txt)

.venv/dev.stamp: .venv/run.stamp FORCE
	@$(call install,requirements-dev.txt,requirements-dev.txt requirements.txt constraints.txt)

# $(1): the file pip reads; $(2): every file whose content counts.
define install
cat $(2) | cmp -s - $@ && exit 0; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "instantlite: Python 3.11 or newer is needed and $(PYTHON) is not; try make PYTHON=python3.12" >&2; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "instantlite: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }; \
rm -f $@; \
echo "== installing $(1) into .venv"; \
test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || exit 1; \
$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(1) || exit 1; \
cat $(2) > $@.partial && mv $@.partial $@
endef

# The tests of the pages need a browser. Without one they are skipped, and fail where CI=true.
chromium:
	@command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
		|| command -v google-chrome >/dev/null 2>&1 && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "== installing Chromium for the browser tests"; \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } \
			>/dev/null || echo "NOTICE: Chromium could not be installed: the browser tests will not run" >&2; \
	else \
		echo "NOTICE: no Chromium here: the browser tests will be skipped" >&2; \
	fi
