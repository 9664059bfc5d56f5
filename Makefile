# The one entry point. `make help` lists the targets; docs/development.md explains the test tiers.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(HELLO_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hello)
# Builds live outside the checkout, so that a fresh clone starts warm.
export CARGO_TARGET_DIR ?= $(CACHE)/target
# Cargo takes two checkouts that share this folder for the same packages and distinguishes them by file times alone:
# the one that builds after the other has to look newer.
ifneq ($(file <$(CARGO_TARGET_DIR)/checkout),$(CURDIR))
$(shell mkdir -p $(CARGO_TARGET_DIR) && find app crds e2e operator plugin -type f -exec touch {} + && echo $(CURDIR) > $(CARGO_TARGET_DIR)/checkout)
endif
# Colour and cursor tricks only confuse a log.
ifdef CI
export CARGO_TERM_COLOR := never
export CARGO_TERM_PROGRESS_WHEN := never
endif

# Where `make plugin` installs: the folder `bin` below it has to be on the PATH.
PLUGIN_ROOT ?= $(HOME)/.local

# What a target needs of the machine, installed where that is possible, before anything else is done. The scripts call it themselves.
NEEDS := e2e/tools/prerequisites

.PHONY: help up down check lint test test-setup test-build test-unit test-app test-contract test-browser test-operator test-cluster \
        test-images test-machines test-clouds test-e2e test-front test-upgrade fuzz mutants images plugin cluster-build addons-build cluster-up cluster-down generate bench-app bench-backup bench-operator release advisories docs

##@ Use
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	     /^[a-z0-9-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## From nothing to a greeting: cluster, images, operator, sample, PUT and GET /hello/alice
	@e2e/up

down: ## Take down what `make up` brought up
	@e2e/kind/cluster down

cluster-up: ## Only the local kind cluster (CLUSTER=existing: use the current KUBECONFIG)
	@e2e/kind/cluster up

cluster-build: ## Build what `cluster-up` needs where no image registry can be reached
	@e2e/kind/cluster build

addons-build: ## Compile the cluster's add-ons where no image registry can be reached
	@for addon in e2e/addons/*/addon; do "$$addon" build; done

cluster-down: ## Take the local cluster down and leave nothing behind
	@e2e/kind/cluster down

images: ## Build the container images
	@manifests/images/build

plugin: ## Install `kubectl hello` into PLUGIN_ROOT/bin (~/.local/bin)
	@$(NEEDS) plugin
	cargo install --quiet --locked --force --path plugin --root "$(PLUGIN_ROOT)"
	"$(PLUGIN_ROOT)/bin/kubectl-hello" completion kubectl > "$(PLUGIN_ROOT)/bin/kubectl_complete-hello"
	chmod +x "$(PLUGIN_ROOT)/bin/kubectl_complete-hello"

##@ Develop
check: lint test-unit ## The quick one before a commit: format, clippy, scripts, unit tests

lint: ## Format, clippy, manifests and scripts
	@$(NEEDS) lint
	e2e/tools/structure
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --workspace --all-targets --features hello-app/otlp --locked -- -D warnings
	cargo clippy --workspace --test scenarios --locked -- -D warnings
	manifests/check

docs: ## The documentation as a site, every link checked; prints its folder
	@docs/site/build

generate: ## Write the generated files again (CRD YAML, the page of all fields, the chart's files, its table of values)
	@$(NEEDS) generate
	cargo run --quiet --locked -p hello-operator -- crds | awk -v names="helloservices hellorestores" \
	  'BEGIN {split(names, name, " ")} /^#/ {head = $$0; next} \
	   /^---$$/ {file = "crds/" name[++n] ".yaml.new"; print head > file} {print > file}'
	for name in helloservices hellorestores; do mv crds/$$name.yaml.new crds/$$name.yaml; done
	"$$(e2e/tools/python-environment manifests manifests/tests/requirements.txt)/python" crds/reference
	manifests/charts/generate

##@ Test
test: ## Every tier; what CI runs
	@e2e/tools/run-tiers

test-setup: ## That the set-up brings what a machine lacks, or names it at once
	@e2e/tools/test-setup

test-build: ## Only compile the tests, of all tiers at once
	@$(NEEDS) test-build
	e2e/tools/cargo-tests build

test-unit: ## Unit, property and golden tests: need nothing
	@$(NEEDS) test-unit
	e2e/tools/cargo-tests unit

test-app: ## The real app binary over HTTP on a real PostgreSQL and on SQLite
	@$(NEEDS) test-app
	PG_BIN="$$(manifests/images/postgres/fetch)/bin" e2e/tools/cargo-tests app
	e2e/tools/cargo-tests traces traces::

test-contract: ## The real app binary asked whatever its OpenAPI document allows and forbids, on both stores
	app/tests/contract/run
	app/tests/contract/alerts
	app/tests/contract/clients

test-browser: ## The pages for people in Chromium, with nothing else to reach
	app/tests/contract/browser

test-operator: ## The operator and its Helm chart on a real API server (etcd and kube-apiserver, no node)
	@$(NEEDS) test-operator
	manifests/tests/run install
	KUBEBUILDER_ASSETS="$$(e2e/kind/cluster kube-assets)" e2e/tools/cargo-tests operator

test-cluster: ## That the local cluster comes up, goes down and leaves nothing behind, also after a crash
	e2e/kind/test

test-images: ## The local PostgreSQL image keeps the official one's contract
	manifests/images/postgres/test

test-machines: ## machines.yml on four machines of its own: from nothing, rollouts, rollbacks, backups, a restore; not part of `make test`
	@ansible/test-machines

test-clouds: ## The modules for clouds, validated by OpenTofu; not part of `make test`
	@manifests/clouds/tests/run

test-e2e: ## Every scenario on a real kind cluster
	e2e/run

test-front: ## TLS in front of a service, with Traefik and cert-manager; not part of `make test`
	e2e/run front::

test-upgrade: ## From the programs and manifests of earlier releases to the present ones, and back; not part of `make test`
	e2e/run earlier::

fuzz: ## Fuzz what clients send and what the cluster contains, FUZZ_SECONDS (60) a target; not part of `make test`
	e2e/tools/fuzz

# Neither debug information nor a full build for each change: a mutant takes seconds. Dependencies stay compiled for the next run.
mutants: export CARGO_PROFILE_DEV_DEBUG = 0
mutants: export CARGO_PROFILE_TEST_DEBUG = 0
mutants: export CARGO_INCREMENTAL = 1
mutants: ## Change the pure parts in small ways and list what no test notices, MUTANTS=--re=REGEX for some (its names begin with the path); not part of `make test`
	@$(NEEDS) mutants
	status=0; export CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)/mutants"; \
	cargo mutants --package hello-operator --output "$$CARGO_TARGET_DIR/operator" $(MUTANTS) -- --lib --test build || status=$$?; \
	cargo mutants --package hello-app --output "$$CARGO_TARGET_DIR/app" $(MUTANTS) -- --lib || status=$$?; \
	exit $$status

##@ Release
release: ## Rehearse the release VERSION=1.2.3 of this machine's architecture: images, chart, checksums, components; docs/release.md
	@$(NEEDS) release
	manifests/release/rehearse "$(VERSION)"

advisories: ## Known faults and licences of all dependencies; fetches the database of advisories, and is not part of `make test`
	@$(NEEDS) advisories
	cargo deny --locked check

##@ Measure
bench-app: ## The app beside pgbench, in one run
	app/benches/run

bench-backup: ## A backup with its proof beside plain pg_dump, and callers meanwhile, in one run
	app/benches/backup

bench-operator: ## The operator with up to 10,000 resources on a real API server
	operator/benches/run
