# Every target does its own set-up (Debian 12 packages, see scripts/setup.sh) and may be run from a clean checkout.
#
# The work is done by CMake; the presets in CMakePresets.json say what each build directory is.

MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
LINT_JOBS ?= $(JOBS)
SEEDS ?= 5000
# So that ccache, where it is installed, helps from one clone to the next.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

.DEFAULT_GOAL := build
.PHONY: build demo test seeds image e2e e2e-images e2e-up e2e-down bench bench-peers lint fmt asan tsan coverage fuzz clean help \
        setup-build setup-test setup-lint setup-sanitize setup-fuzz setup-coverage setup-e2e setup-image setup-peers

build: setup-build ## Build the programs: build/bin/poolwarden
	@cmake --preset release --log-level=WARNING
	@cmake --build build -j $(JOBS) --target programs

demo: setup-test build ## Show the main job on this machine, without a cluster (DEMO_FAST=1: shorter)
	@scripts/demo.py

test: setup-test ## Run every test that needs no cluster
	@cmake --preset debug --log-level=WARNING
	@cmake --build build-debug -j $(JOBS)
	@ctest --test-dir build-debug --output-on-failure -j 2

image: setup-image build ## Build the container image, without a container engine: build/image/poolwarden.tar
	@scripts/images.sh build/image poolwarden

asan: setup-sanitize ## Run the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan --log-level=WARNING
	@cmake --build build-asan -j $(JOBS)
	@scripts/with_sanitizers.sh ctest --test-dir build-asan --output-on-failure -j 2

tsan: setup-sanitize ## Run the tests under ThreadSanitizer (TSAN_TESTS='-LE integration': those of one process)
	@cmake --preset tsan --log-level=WARNING
	@cmake --build build-tsan -j $(JOBS)
	@scripts/with_sanitizers.sh ctest --test-dir build-tsan --output-on-failure -j 2 $(TSAN_TESTS)

e2e-images: setup-e2e build
	@cmake --build build -j $(JOBS) --target e2e_programs
	@scripts/images.sh build/image poolwarden vllm-sim haproxy

# With E2E_KUBECONFIG nothing of the cluster is built, and images are the user's to bring.
e2e: e2e-images ## Run the tests on a real Kubernetes (E2E_CASES=regex, E2E_KUBECONFIG=file)
	@scripts/e2e.sh run

e2e-up: e2e-images ## Bring up a Kubernetes with the operator in it, and keep it
	@scripts/e2e.sh up

e2e-down: ## Take that Kubernetes down
	@scripts/e2e.sh down

bench: setup-test build ## Measure latency, throughput and memory, and print a table (BENCH_FAST=1: shorter)
	@cmake --build build -j $(JOBS) --target benchmarks
	@scripts/bench.sh

bench-peers: setup-peers build ## Measure it beside Go, Rust and Kubernetes itself (BENCH_FAST=1, PEERS=, ROWS=, POOLWARDEN=)
	@scripts/bench_peers.py

seeds: setup-test ## Simulate clusters and drains, more of them than make test does (SEEDS=5000)
	@cmake --preset debug --log-level=WARNING
	@cmake --build build-debug -j $(JOBS) --target drain_seeds seeds
	@printf '%s\n' seeds drain_seeds | POOLWARDEN_SEEDS=$(SEEDS) xargs -P 2 -I {} env build-debug/bin/{} --gtest_brief=1

lint: setup-lint ## Check formatting, static analysis, dependency rules and lengths
	@LINT_JOBS=$(LINT_JOBS) scripts/lint.sh

fmt: setup-lint ## Format the sources in place
	@scripts/lint.sh --fix-format

coverage: setup-coverage ## Run the tests and print line coverage by file
	@cmake --preset coverage --log-level=WARNING
	@cmake --build build-coverage -j $(JOBS)
	@ctest --test-dir build-coverage --output-on-failure -j 2
	@gcovr --root . --filter operator/ --object-directory build-coverage --exclude-unreachable-branches

fuzz: setup-fuzz ## Fuzz every parser that reads the network (FUZZ_SECONDS=60 each)
	@cmake --preset fuzz --log-level=WARNING
	@cmake --build build-fuzz -j $(JOBS) --target fuzzers
	@scripts/fuzz.sh build-fuzz/bin $${FUZZ_SECONDS:-60}

clean: ## Remove every build directory
	rm -rf build build-debug build-asan build-tsan build-coverage build-clang build-fuzz build-e2e build-bench-peers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup-build setup-test setup-lint setup-sanitize setup-fuzz setup-coverage setup-e2e setup-image setup-peers: setup-%:
	@scripts/setup.sh $*
