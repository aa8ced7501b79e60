# Everything that a newcomer or CI needs. Each target sets up what it needs by itself.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEEDS  ?= 1000
MINUTES ?= 1
JOBS   ?= 2
# The Pythons that dmqcache is made for; the tests run on those of them that are here.
VERSIONS ?= 3.11 3.12 3.13
# What the tests and benchmarks talk to. Installed where we are root and apt is there; else named.
DEBIAN := kamailio kamailio-tls-modules kamailio-sqlite-modules kamailio-postgres-modules kamailio-mysql-modules \
          kamailio-presence-modules postgresql mariadb-server redis-server prometheus iproute2 iptables procps debootstrap \
          debian-archive-keyring chromium zsh fish sip-tester
TOOLS  := kamailio pg_createcluster mariadbd redis-server redis-cli redis-benchmark promtool ip iptables debootstrap chromium \
          zsh fish sipp

.NOTPARALLEL:
.PHONY: demo test unit pythons another-python interop lint bench simulate fuzz debian node clean

demo: $(VENV)/.installed        ## three nodes on loopback, until Ctrl-C
	@$(BIN)/dmqcache demo

# Each test runs once: what fails has failed. The tests with real Kamailio nodes share addresses: side by side
# they run in networks of their own, which takes root.
OWN_NETWORKS = $(if $(filter 0,$(shell id -u)),-n $(JOBS) --dist loadfile -p tests.interop.own_network -p tests.interop.matrix_report)
test: lint unit pythons interop ## everything that CI runs

unit: $(VENV)/.installed debian ## without Kamailio and network namespaces
	@$(BIN)/pytest -n $(JOBS) --dist loadscope -m 'not interop'

# On one Python the simulated clusters run too; their runs are the same on all of them.
pythons: $(VENV)/.installed debian ## the unit tests on each other Python that the machine has
	@here="$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"; \
	.ci/pythons $(VERSIONS) | while read -r version python; do \
	  [ "$$version" = "$$here" ] || $(MAKE) -s another-python PYTHON="$$python" VENV=".venvs/$$version" \
	    </dev/null || exit 1; done

another-python:
	@if $(MAKE) -s $(VENV)/.installed; then \
	  $(BIN)/python --version; \
	  $(BIN)/pytest -n $(JOBS) --dist loadscope -m 'not interop' --ignore tests/simulation -p no:cacheprovider; \
	else echo "the packages that the tests need are not to be had for $(PYTHON): they do not run on it" >&2; fi

interop: $(VENV)/.installed debian node ## with real Kamailio, Redis and network namespaces
	@$(BIN)/python -m pytest $(OWN_NETWORKS) -m interop

lint: $(VENV)/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy -p dmqcache

bench: $(VENV)/.installed debian ## each figure beside its rival, in one run
	@$(BIN)/python -m bench

simulate: $(VENV)/.installed    ## the long campaign: make simulate SEEDS=10000
	@$(BIN)/python -m tests.simulation.campaign --seeds $(SEEDS) --jobs $(JOBS)

fuzz: $(VENV)/.installed        ## hard input for every reader of bytes: make fuzz MINUTES=60
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,uvloop,tls,db]'
	@touch $@

debian:
	@missing=""; for tool in $(TOOLS); do \
	  PATH="$$PATH:/usr/sbin:/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	for module in tls presence db_sqlite db_postgres db_mysql; do \
	  ls /usr/lib/*/kamailio/modules/$$module.so >/dev/null 2>&1 || missing="$$missing kamailio's-$$module"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(DEBIAN) ..."; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -y -qq --no-install-recommends $(DEBIAN) >/dev/null; \
	  else echo "missing:$$missing - install the packages $(DEBIAN)"; exit 1; fi; fi
	@$(PYTHON) -m tests.interop.install_kamailio

# Without them the tests that want them are skipped.
node: $(VENV)/.installed        ## Node's libraries that have a Redis beneath them
	@$(BIN)/python -m tests.interop.install_node

clean:
	rm -rf $(VENV) .venvs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
