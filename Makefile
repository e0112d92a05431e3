# Every target stops at the first failure; `make test` is what CI runs.

CARGO_DENY_VERSION := 0.20.2
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.PHONY: demo test lint fmt clippy unit doc deny bench

# Verify and certify the built-in network on the built-in data; the network, its certificate and the report go to demo/.
demo:
	cargo run --locked --release --package lipcert -- demo -o demo --force

# One after the other, also under `make -j`.
test:
	$(MAKE) fmt
	$(MAKE) clippy
	$(MAKE) unit
	$(MAKE) doc
	$(MAKE) deny

lint: fmt clippy

fmt:
	cargo fmt --all -- --check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	cargo test --locked --workspace

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

# Licences, banned crates and sources; installs the checker beside the sources if there is none.
deny:
	cargo deny --version || cargo install --locked cargo-deny --version $(CARGO_DENY_VERSION) --root .tools
	cargo deny --workspace check licenses bans sources

bench:
	cargo bench --locked --workspace
