# Every target does its own set-up (Debian 12 packages, see scripts/setup.sh) and may be run from a clean checkout.
#
# The work is done by CMake; the presets in CMakePresets.json say what each build directory is.

MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
LINT_JOBS ?= $(JOBS)
SEEDS ?= 5000
SOAK_SECONDS ?= 3600
FUZZ_SECONDS ?= 60
# scripts/build.sh reads it.
export JOBS
# So that ccache, where it is installed, helps from one clone to the next.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

space := $() $()
test_in = ctest --test-dir $(1) --output-on-failure -j $(JOBS)

.DEFAULT_GOAL := build
.PHONY: build demo test seeds soak mutants image e2e e2e-images e2e-vllm e2e-up e2e-down bench bench-peers lint fmt asan tsan coverage fuzz nightly clean help \
        setup setup-build setup-test setup-lint setup-sanitize setup-fuzz setup-coverage setup-e2e setup-image setup-peers setup-llama setup-vllm

setup: setup-test ## Install what build, demo and test need, with apt-get as root (each target does so by itself)

build: setup-build ## Build the programs as they ship: build/bin/poolwarden
	@scripts/build.sh release programs
	@scripts/check_hardening.sh build/bin/poolwarden

# From build-debug, which is quick to build and which `make test` goes on with. An engine that is not to be had is
# said before the build.
demo: setup-test $(if $(filter llama.cpp,$(ENGINE)),setup-llama) ## Show the main job on this machine, without a cluster (ENGINE=llama.cpp: a real model; DEMO_FAST=1: shorter)
	@scripts/demo.py --check
	@scripts/build.sh debug poolwarden testcluster vllm-sim
	@scripts/demo.py

test: setup-test ## Run every test that needs no cluster
	@scripts/build.sh debug
	@$(call test_in,build-debug)

image: setup-image build ## Build the container image, without a container engine: build/image/poolwarden.tar
	@scripts/images.sh build/image poolwarden

asan: setup-sanitize ## Run the tests under AddressSanitizer and UndefinedBehaviorSanitizer (ASAN_TESTS='-LE integration': some)
	@scripts/build.sh asan
	@scripts/with_sanitizers.sh $(call test_in,build-asan) $(ASAN_TESTS)

tsan: setup-sanitize ## Run the tests under ThreadSanitizer (TSAN_ONLY='transport_test base_test': build and run these)
	@scripts/build.sh tsan $(TSAN_ONLY)
	@scripts/with_sanitizers.sh $(call test_in,build-tsan) $(if $(TSAN_ONLY),-R '^($(subst $(space),|,$(strip $(TSAN_ONLY))))$$')

# Prometheus comes with them: the cases run in a network of their own, from which nothing can be fetched.
e2e-images: setup-e2e build
	@scripts/promtool.sh prometheus >/dev/null || test $$? = 77
	@scripts/build.sh release e2e_programs
	@scripts/images.sh build/image poolwarden vllm-sim haproxy

# With E2E_KUBECONFIG nothing of the cluster is built, and images are the user's to bring.
e2e: e2e-images ## Run the tests on a real Kubernetes (E2E_CASES=regex, E2E_KUBECONFIG=file)
	@scripts/e2e.sh run

# Where it cannot be had, that is said before the build.
e2e-vllm: setup-e2e setup-vllm ## Run vLLM itself on a real Kubernetes, on the CPU (3 GB of downloads once, 6 GB of disk, half an hour)
	@scripts/vllm.sh >/dev/null
	@$(MAKE) e2e-images
	@E2E_VLLM=1 E2E_CASES='^31_vllm$$' scripts/e2e.sh run

e2e-up: e2e-images ## Bring up a Kubernetes with the operator in it, and keep it
	@scripts/e2e.sh up

e2e-down: ## Take that Kubernetes down
	@scripts/e2e.sh down

bench: setup-test build ## Measure latency, throughput and memory, and print a table (BENCH_FAST=1: shorter)
	@scripts/build.sh release benchmarks
	@scripts/bench.sh

bench-peers: setup-peers build ## Measure it beside Go, Rust and Kubernetes itself (BENCH_FAST=1, PEERS=, ROWS=, POOLWARDEN=)
	@scripts/bench_peers.py

seeds: setup-test ## Simulate clusters and drains, more of them than make test does (SEEDS=5000)
	@scripts/build.sh debug drain_seeds replica_seeds seeds
	@scripts/seeds.sh $(SEEDS)

# FIRST_SEED=<number>: from that seed on, and not from one by chance.
soak: setup-test ## Simulate them for an hour, and cut a drain that fails down to a file to read (SOAK_SECONDS=3600, FIRST_SEED=)
	@scripts/build.sh debug soak
	@build-debug/bin/soak --seconds $(SOAK_SECONDS) --jobs $(JOBS) --out build-debug/soak $(addprefix --first-seed ,$(FIRST_SEED))

# In a copy of the source, of which nothing but what a mutant changes is compiled anew.
mutants: setup-test ## Break the program on purpose, rule by rule, and see a test fail each time (MUTANTS='name ...': some)
	@scripts/mutants.py $(MUTANTS)

lint: setup-lint ## Check formatting, static analysis, dependency rules and lengths
	@LINT_JOBS=$(LINT_JOBS) scripts/lint.sh

fmt: setup-lint ## Format the sources in place
	@scripts/lint.sh --fix-format

coverage: setup-coverage ## Run the tests and print line coverage by file
	@scripts/build.sh coverage
	@$(call test_in,build-coverage)
	@gcovr --root . --filter operator/ --object-directory build-coverage --exclude-unreachable-branches

fuzz: setup-fuzz ## Fuzz every parser that reads the network (FUZZ_SECONDS=60 each)
	@scripts/build.sh fuzz fuzzers
	@scripts/fuzz.sh build-fuzz/bin $(FUZZ_SECONDS)

# What is too long for every change. The second compiler builds each file on its own.
nightly: ## All that .ci/run leaves out or cuts short: many seeds, long fuzzing, all of tsan, whole benchmarks (an evening)
	@.ci/run nightly

clean: ## Remove every build directory
	rm -rf build build-debug build-asan build-tsan build-coverage build-clang build-fuzz build-e2e build-bench-peers build-mutants

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Each installs the Debian packages that it needs and that are missing; \`make setup\` does only that, and"
	@echo "  scripts/setup.sh names them. JOBS=<number>: so many at once. UNITY=OFF: compile each file on its own."

setup-build setup-test setup-lint setup-sanitize setup-fuzz setup-coverage setup-e2e setup-image setup-peers setup-llama setup-vllm: setup-%:
	@scripts/setup.sh $*
