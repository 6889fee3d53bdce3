# make setup | setup-browser | demo | test | test-all | lint | bench | serve BUNDLE=DIR | cluster | cluster-stop
PYTHON ?= python3.11
# What to measure; make bench BENCH=features is the quick part.
BENCH ?= extraction features training mesh tuning bundle
# A CPU-only torch, a third of the size: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
BIN := .venv/bin
# A third process computes while two wait for their Ray clusters (tests/conftest.py).
# One thread of torch each: threads of three processes would wait for one another on two cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: setup setup-browser demo test test-all lint format bench serve cluster cluster-stop clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/python -m sigflow.landmarks.assets
	touch $@

# Debian's Chromium, for the tests of the page.
setup-browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi; \
	command -v apt-get >/dev/null || { echo "no apt-get here: install chromium and chromedriver yourself" >&2; exit 1; }; \
	root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	$$root apt-get update -qq && $$root apt-get install -y -qq --no-install-recommends chromium chromium-driver

demo: setup
	$(BIN)/python jobs/demo.py --out out/demo

test: setup
	$(PYTEST) -m "not slow"

test-all: setup
	$(PYTEST)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	set -e; for name in $(BENCH); do $(BIN)/python -m tests.bench.$$name; done

serve: setup
	$(BIN)/python -m serve --bundle $(or $(BUNDLE),$(error BUNDLE=DIR: the --out of jobs/ensemble.py))

# Ports that are taken: make cluster PORT=6380 DASHBOARD_PORT=8266
cluster: setup
	@PATH="$(abspath $(BIN)):$$PATH" cluster/local.sh start

cluster-stop:
	@cluster/local.sh stop

clean:
	rm -rf .venv out
