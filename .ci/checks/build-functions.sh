#!/usr/bin/env bash
# All functions as `cargo lambda build` makes them, at once, for this machine's processor and in the dev profile: a release
# build is for a deployment. The packages are named because a plain build would build the local platform too, and with it
# give the functions features that only the platform asks for.
#
#   build-functions.sh              of this tree, into target/lambda
#   build-functions.sh TREE INTO    of another one; what others wrote is compiled once for both
set -euo pipefail
cd "$(dirname "$0")/../.."

export CARGO_TARGET_DIR=$PWD/target
into=$(realpath --canonicalize-missing "${2:-target/lambda}")
cd "${1:-.}"
packages=()
for manifest in functions/*/Cargo.toml; do packages+=(--package "$(basename "$(dirname "$manifest")")"); done
# They are called a few times: what they depend on is not worth optimizing, and is another artefact than that of the tests anyway.
# Nobody debugs them.
cargo lambda build --locked --compiler cargo --config 'profile.dev.package."*".opt-level=0' --config profile.dev.debug=0 \
    --lambda-dir "$into" "${packages[@]}"
for manifest in functions/*/Cargo.toml; do
    test -x "$into/$(basename "$(dirname "$manifest")")/bootstrap"
done
