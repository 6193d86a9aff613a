# Everything one does with this repository. Bare `make` lists the targets.

# Options for the program behind a target: make test ARGS="stream_id"
ARGS ?=
# Events to make: make seed EVENTS=100000
EVENTS ?=
# What to send again, and to whom: make replay STREAM=order:42 TARGET=shop
STREAM ?=
TARGET ?=
# Which deployment, of those in samconfig.toml; parameters of template.yaml; and one function
ENV ?= dev
PARAMS ?=
FUNCTION ?=
# A NATS server to publish events on and to take messages in from: make run NATS_URL=nats://127.0.0.1:4222
NATS_URL ?=
# The nats-server to start, unless Debian's will do
NATS_SERVER ?=
export NATS_URL NATS_SERVER
# How many schedules to simulate, and with which seed to begin: make simulate SEEDS=100000
SEEDS ?=
FROM ?=
# Deploy without asking, where samconfig.toml asks: make deploy ENV=prod CONFIRM=yes
CONFIRM ?=
# As it was typed: make would take a $ for one of its own, the shell a & or a space.
override PARAMS := $(value PARAMS)
export PARAMS CONFIRM
# A bench of a minute instead of the full one: make bench SMALL=1
SMALL ?=

# What runs here is built with the `local` profile: nearly as fast as release, built much sooner.
LOCAL := $(or $(CARGO_TARGET_DIR),target)/local

.DEFAULT_GOAL := help
.PHONY: help run test test-aws check bench bench-peers starts seed replay nats demo-webhooks simulate torture fuzz rules fmt openapi cost audit clean-data deploy logs destroy

help: # (not listed)
	@scripts/help Makefile

run: ## Build and run the service on this machine; ARGS go to it, e.g. ARGS=--help
	@scripts/setup
	@cargo build --profile local -p local --bin event-service
	@exec $(LOCAL)/event-service $(ARGS)

test: ## Run every test, doc tests included; ARGS go to `cargo test`, e.g. ARGS=stream_id
	@scripts/setup
	@scripts/test $(ARGS)

test-aws: ## Deploy template.yaml to an emulator and run the scenarios there; AWS_ENDPOINT_URL=… or =account for another place
	@scripts/test-aws $(ARGS)

check: ## Run what CI checks besides the tests; ARGS name single steps, e.g. ARGS="format clippy"
	@scripts/setup cargo-deny aws targets
	@scripts/check $(ARGS)

bench: ## Measure the service on this machine; SMALL=1 for a short run, ARGS go to it
	@scripts/setup nats
	@cargo build --profile local -p tools --bin bench
	@exec $(LOCAL)/bench $(if $(filter-out 0,$(SMALL)),--small) $(ARGS)

bench-peers: ## Compare the store with castore, dynamo-es and common designs, and collection with an empty handler; SMALL=1 for a short run
	@scripts/setup castore
	@cargo build --release --locked --manifest-path tools/peers/dynamo-es/Cargo.toml --target-dir target/peers
	@cargo build --profile local -p tools --bin bench --bin bench-peers
	@$(LOCAL)/bench-peers $(if $(filter-out 0,$(SMALL)),--small) $(ARGS)
	@exec $(LOCAL)/bench $(if $(filter-out 0,$(SMALL)),--small) --only floor --out target/bench-floor.json

starts: ## Measure how long the functions take to start, and to answer a first request
	@scripts/setup aws targets
	@scripts/starts $(ARGS)

seed: ## Fill the local store with made-up events; EVENTS=N says how many, ARGS go to it
	@scripts/setup
	@cargo build --profile local -p tools --bin seed
	@exec $(LOCAL)/seed $(if $(EVENTS),--events $(EVENTS)) $(ARGS)

replay: ## Send a stream again and watch: STREAM=order:42 TARGET=shop; ARGS go to it, e.g. ARGS="--dry-run"
	@scripts/setup
	@cargo build --profile local -p tools --bin replay
	@exec $(LOCAL)/replay $(if $(STREAM),--stream $(STREAM)) $(if $(TARGET),--target $(TARGET)) $(ARGS)

nats: ## Start a throw-away NATS server on port 4222 to try the bridge with: make run NATS_URL=nats://127.0.0.1:4222; NATS_SERVER=… for another program
	@scripts/setup nats
	@scripts/nats $(ARGS)

demo-webhooks: ## Watch webhooks arrive, be missed and catch up: ends by itself within a minute
	@scripts/setup
	@cargo build --profile local -p local --bin event-service -p tools --bin demo-webhooks
	@exec $(LOCAL)/demo-webhooks $(ARGS)

rules: ## List the business rules without a test
	@scripts/setup
	@scripts/bin checks rules --list

fmt: ## Format the sources
	@scripts/setup
	@cargo fmt --all

openapi: ## Write docs/openapi.json anew from the routes
	@scripts/setup
	@scripts/openapi write

cost: ## Say what the service costs on AWS, by template.yaml and list prices
	@scripts/setup
	@scripts/bin cost $(ARGS)

simulate: ## Run the whole service under random schedules, as many as SEEDS=100000 says; FROM=N begins with another seed
	@scripts/setup
	@SIMULATE_SEEDS=$(or $(SEEDS),10000) SIMULATE_FROM=$(or $(FROM),0) cargo test --profile local -q -p event-service-tests --test simulation -- --nocapture whatever_happens

torture: ## Kill the service a hundred times under load, and audit what is left; ARGS go to it, e.g. ARGS="--kills 20"
	@scripts/setup nats
	@cargo build --profile local -p local --bin event-service -p tools --bin torture
	@exec $(LOCAL)/torture $(ARGS)

fuzz: ## Throw made-up requests at what reads from outside, a minute each; ARGS="collect 600" for one of them and ten minutes
	@scripts/setup
	@scripts/fuzz $(ARGS)

audit: ## Look for known vulnerabilities in the dependencies (needs the network)
	@scripts/setup cargo-deny
	@scripts/deny advisories $(ARGS)

deploy: ## Build the functions and deploy them to AWS; ENV=dev or prod, PARAMS="Name=value Other='with spaces'"
	@scripts/setup aws targets
	@scripts/deploy $(ENV)

logs: ## Follow the logs of a deployment; ENV=dev, FUNCTION=record-events for one function
	@scripts/setup aws
	@scripts/logs $(ENV) $(FUNCTION)

destroy: ## Delete a deployment, but not its table; refuses prod
	@scripts/setup aws
	@scripts/destroy $(ENV)

clean-data: ## Delete the local store, .data/
	rm -rf .data
