#!/usr/bin/env bash
# Builds and runs the measuring programs, one after the other, and keeps what they print.
#
#   benches/all.sh [--quick] [program ...]
#
# Without names: all of ADE's own. `rival` puts the same questions to durable-streams-server, which must be installed.
# Tables go to the terminal and to <target>/bench/<time>.md, figures as JSON lines to <target>/bench/<time>.jsonl.
# A program that fails does not keep the others from running; the exit code tells.
set -uo pipefail
cd "$(dirname "$0")/.."

quick=()
if [ "${1:-}" = --quick ]; then quick=(--quick); shift; fi
programs=("$@")
[ $# -gt 0 ] || programs=(append engine_firehose fanout memory replay builds lists executions)

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/bench"
out=$(cd "$target/bench" && pwd)/$(date -u +%Y%m%dT%H%M%SZ)
# Two sockets for each of some thousand connections.
ulimit -n "$(ulimit -Hn)"

# What a program that was killed has left; living ones keep theirs.
sweep() {
    for folder in "$target"/bench/scratch/*.*; do
        [ -d "$folder" ] && [ ! -d "/proc/${folder##*.}" ] && rm -rf "$folder"
    done
}
trap sweep EXIT
trap 'exit 130' INT TERM

selected=()
for program in "${programs[@]}"; do selected+=(--bench "$program"); done
cargo build --release --bins --example sse_load && cargo bench --no-run "${selected[@]}" || exit 1

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
disk=$(df --output=source,fstype "$target" | tail -n 1 | tr -s ' ')
printf '{"machine":{"cores":%s,"cpu":"%s","kernel":"%s","disk":"%s","commit":"%s","load":"%s"}}\n' \
    "$(nproc)" "$model" "$(uname -r)" "$disk" "$(git rev-parse --short HEAD)" "$(cut -d' ' -f1 /proc/loadavg)" |
    tee "$out.jsonl"

failed=()
for program in "${programs[@]}"; do
    echo "== $program"
    cargo bench --quiet --bench "$program" -- "${quick[@]}" --json "$out.jsonl" | tee -a "$out.md"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$program")
done
echo "results: $out.md $out.jsonl"
if [ ${#failed[@]} -gt 0 ]; then echo "failed: ${failed[*]}"; exit 1; fi
