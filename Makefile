# make demo    builds what is missing and shows the main jobs, on this machine, in a minute
# make test    every test
# make check   formatting, lints, generated files, dependency and layering rules
# make guest   what aegisd needs to run guests: packages, a kernel, the harness, the base image (part of demo and test)
# make kernel  a kernel that boots guests in half the time; about six minutes, optional
# make bench   the numbers of docs/specification.md, next to their peers
# make generate  writes generated files anew: protobuf code, schemas, reference, man pages, completions
# make fuzz    each fuzz target for 60 seconds (needs a nightly toolchain)

.PHONY: demo test check bench generate fuzz build setup guest kernel

export CARGO_TERM_COLOR ?= auto
FUZZ_SECONDS ?= 60

setup:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust, for example from Debian's rustup package"; exit 1; }
	@command -v cc >/dev/null || { echo "installing a C compiler (some dependencies are C)"; \
	  $$(test "$$(id -u)" = 0 || echo sudo) sh -c 'apt-get update -q && apt-get install -y -q --no-install-recommends gcc libc6-dev'; }

guest: setup
	packaging/guest/make.sh

kernel: setup
	packaging/guest/kernel.sh

build: guest
	cargo build --release -p aegis-cli -p aegis-runtime

demo: build
	examples/quickstart/demo.sh target/release/aegis
	examples/fleet/demo.sh target/release/aegis
	examples/app/demo.sh target/release/aegis

test: guest
	cargo build -p aegis-cli -p aegis-runtime
	cargo test --workspace --tests

check: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test -q -p aegis-tests --test rules --test generated
	cargo test -q -p aegis-wire --test generated
	@! command -v shellcheck >/dev/null || shellcheck -x -P SCRIPTDIR .ci/run packaging/guest/*.sh examples/*/demo.sh

generate: setup
	AEGIS_UPDATE=1 cargo test -q -p aegis-wire --test generated
	AEGIS_UPDATE=1 cargo test -q -p aegis-tests --test generated

bench: build
	cargo bench -p aegis-tests

fuzz: setup
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in $$(cd fuzz && cargo +nightly fuzz list); do \
	  cargo +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done
