# Everything that a newcomer or CI needs. Each target sets up what it needs by itself.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEEDS  ?= 1000
JOBS   ?= 2
# What the tests and benchmarks talk to. Installed where we are root and apt is there; else named.
DEBIAN := kamailio redis-server prometheus iproute2 iptables procps debootstrap debian-archive-keyring chromium
TOOLS  := kamailio redis-server redis-cli redis-benchmark promtool ip iptables debootstrap chromium

.PHONY: demo test lint bench simulate debian clean

demo: $(VENV)/.installed        ## three nodes on loopback, until Ctrl-C
	@$(BIN)/dmqcache demo

# The tests with real Kamailio nodes share addresses, so they run one after the other. What fails is run once
# more by itself, and shown: these machines are shared, and real processes have deadlines.
test: $(VENV)/.installed debian lint   ## everything that CI runs
	@$(BIN)/pytest -n $(JOBS) --dist loadscope -m 'not interop' || $(BIN)/pytest --lf -m 'not interop'
	@$(BIN)/pytest -m interop || $(BIN)/pytest --lf -m interop

lint: $(VENV)/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy -p dmqcache

bench: $(VENV)/.installed debian ## each figure beside its rival, in one run
	@$(BIN)/python -m bench

simulate: $(VENV)/.installed    ## the long campaign: make simulate SEEDS=10000
	@$(BIN)/python -m tests.simulation.campaign --seeds $(SEEDS) --jobs $(JOBS)

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,uvloop,tls]'
	@touch $@

debian:
	@missing=""; for tool in $(TOOLS); do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(DEBIAN) ..."; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -y -qq --no-install-recommends $(DEBIAN) >/dev/null; \
	  else echo "missing:$$missing - install the packages $(DEBIAN)"; exit 1; fi; fi
	@$(PYTHON) -m tests.interop.install_kamailio

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
