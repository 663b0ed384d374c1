#!/usr/bin/env bash
# What every function weighs, and how it starts: builds all of them and the empty one in release, as a deployment does but for
# this machine's processor; holds them to the size gate and to the start of the empty one; and writes docs/functions.md anew.
#
# For a person, where nothing else runs: it takes an hour on two processors. .ci/run leaves it out, and the workflow that
# deploys has the size gate alone. Shares of a processor take root; without, `MEMORY= .ci/checks/cold-start.sh`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/toolchains.sh

command -v sam >/dev/null && command -v cargo-lambda >/dev/null || pinned aws-sam-cli cargo-lambda

# All at once: what they share is compiled once, where `sam build` compiles it for each. Each is given what the others ask of
# their dependencies, and so is as large as in a deployment or a little larger.
packages=()
for manifest in functions/*/Cargo.toml infra/empty-function/Cargo.toml; do
    packages+=(--package "$(basename "$(dirname "$manifest")")")
done
into=target/lambda-release
cargo lambda build --release --locked --compiler cargo --lambda-dir "$PWD/$into" "${packages[@]}"
python3 .ci/checks/bootstrap-size.py "$into"

cargo build --quiet --locked --profile bench-run --package bench
memory=${MEMORY-128,256,512,1024,1769}
status=0
# A processor of its own, and AWS as far away as it is within a region.
target/bench-run/bench cold-start --bootstraps "$into" --distance 2000 ${memory:+--memory "$memory"} --json target/cold-start.json || status=$?
if ((status > 1)); then exit "$status"; fi
.venv/bin/python .ci/checks/function-table.py --record target/cold-start.json "$into"
exit "$status"
