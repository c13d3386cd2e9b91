# `make serve` and `make test` are all that a newcomer needs; both set up what is missing first.
.DEFAULT_GOAL := help
.PHONY: help setup serve test test-all check bench bench-sim bench-tenants bench-overload bench-k8s bench-market-open bench-compose cluster-up cluster-down monitoring clean

STACK ?= examples/quickstart/fs.yaml
BACKEND ?= ray
TIERS ?= unit contract integration e2e cluster
CLUSTER = .venv/bin/python -m tests.cluster.harness

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## Make .venv hold everything (Python 3.11 to 3.13 and a package index are enough)
	@PYTHON="$(PYTHON)" scripts/setup

serve: setup ## Serve the quickstart's model: STACK=FILE BACKEND=NAME for another
	@exec .venv/bin/fs serve --backend $(BACKEND) -f $(STACK)

test: setup ## Run every test tier that this machine can hold: TIERS="unit contract" for some
	@scripts/test $(TIERS)

test-all: setup ## Run those tests too that take minutes each: before a release
	@scripts/test --all $(TIERS)

check: setup ## Lint, format, types, layers
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict core/src plugins/*/src
	.venv/bin/lint-imports

bench: setup ## Measure what the request path costs
	@.venv/bin/python -m benchmarks

bench-sim: setup ## Measure how fast the policy lab simulates
	@.venv/bin/python -m benchmarks.sim

bench-tenants: setup ## Measure what tenants cost, beside other routers (installs them into the user's cache)
	@bash -c 'source scripts/index_settings && exec .venv/bin/python -m benchmarks.tenants'

bench-overload: setup ## Measure goodput at 1 to 10 times the capacity, without and with shedding (five minutes)
	@.venv/bin/python -m benchmarks.overload --svg docs/overload.svg

cluster-up: setup ## Start a real Kubernetes with KEDA and a Gateway here (Linux, root, Go), and print how to reach it
	@$(CLUSTER) up

cluster-down: setup ## Stop it, and leave nothing of it
	@$(CLUSTER) down

bench-k8s: setup ## Measure what Kubernetes costs, on a cluster of its own (Linux, root, Go; some ten minutes)
	@.venv/bin/python -m benchmarks.k8s

bench-market-open: setup ## Measure a market open on real Ray, without and with MARKET_HOURS (ten minutes)
	@.venv/bin/python -m benchmarks.market_open_real

bench-compose: setup ## Measure what it costs to kill a service of the compose file (root, Docker; some ten minutes)
	@.venv/bin/python -m benchmarks.compose_faults

monitoring: setup ## Write anew what docker-compose.scaling.yml gives to Prometheus and Grafana
	@for form in prometheus grafana; do \
		.venv/bin/fs plan -f examples/compose/vllm.yaml -o $$form --to monitoring/$$form 2>/dev/null || exit; done

clean: ## Remove .venv and all caches of this folder
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
