# Every target stops at the first failure; `make test` is what CI runs.

CARGO_DENY_VERSION := 0.20.2
export PATH := $(CURDIR)/.tools/bin:$(PATH)
# Small tensors: a second thread costs more than it brings.
test unit: export OMP_NUM_THREADS := 1

.PHONY: demo libtorch install test lint fmt clippy unit doc deny bench

# Verify and certify the built-in network on the built-in data; the network, its certificate and the report go to demo/.
demo:
	cargo run --locked --release --package lipcert -- demo -o demo --force

# What `lipcert train`, `finetune` and `attack` need: fetches libtorch into .libtorch and builds both programs into target/release.
libtorch: .libtorch-files
	cargo build --locked --release --package lipcert --package lipcert-train

# Both programs into cargo's folder for programs; libtorch stays in .libtorch.
install: .libtorch-files
	cargo install --locked --path .
	cargo install --locked --path models/train

# One after the other, also under `make -j`.
test:
	$(MAKE) .libtorch-files
	$(MAKE) fmt
	$(MAKE) clippy
	$(MAKE) unit
	$(MAKE) doc
	$(MAKE) deny

lint: fmt clippy

.PHONY: .libtorch-files
.libtorch-files:
	scripts/libtorch.sh

fmt:
	cargo fmt --all -- --check

clippy: .libtorch-files
	cargo clippy --locked --workspace --all-targets -- -D warnings

# Everything is built before anything is tested: tests of `lipcert` start the program that trains.
unit: export LIPCERT_REQUIRE_TRAINER := 1
unit: .libtorch-files
	cargo test --locked --workspace

doc: .libtorch-files
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

# Licences, banned crates and sources; installs the checker beside the sources if there is none.
deny:
	cargo deny --version || cargo install --locked cargo-deny --version $(CARGO_DENY_VERSION) --root .tools
	cargo deny --workspace check licenses bans sources

bench: .libtorch-files
	cargo bench --locked --workspace
