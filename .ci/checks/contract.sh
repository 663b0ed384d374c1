#!/usr/bin/env bash
# The contract from outside: the form of the OpenAPI document by Redocly's linter; then a running platform is held to it by
# Schemathesis, as each role and as an API key (contract.py).
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh
source .ci/checks/toolchains.sh

need_node
npm ci --prefix .ci/checks/contract --ignore-scripts --no-audit --no-fund --loglevel=error
npm run --prefix .ci/checks/contract --silent lint

pinned schemathesis
port=${CONTRACT_PORT:-8015}
start_platform "$port"
if ! .venv/bin/python .ci/checks/contract.py "http://127.0.0.1:$port" .venv/bin/st "${CONTRACT_SECONDS:-30}"; then
    echo "--- the platform said:" >&2
    tail -n 50 "$platform_log" >&2
    exit 1
fi
