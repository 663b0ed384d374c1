#!/usr/bin/env bash
# Starts a platform on a fresh data directory and runs interop.py against it: with the Standard Webhooks libraries of PyPI,
# npm, Cargo and Go, and with the samples of docs/samples/verify-webhook, which use them and do without.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh
source .ci/checks/toolchains.sh

samples=docs/samples/verify-webhook
need_node
need_go
python=${PYTHON:-.venv/bin/python}
"$python" -c 'import cryptography, standardwebhooks' 2>/dev/null || pinned cryptography standardwebhooks
npm_ci "$samples/typescript"
go="$platform_data/verify-webhook-go"
(cd "$samples/go" && go vet ./... && test -z "$(gofmt -l .)" && go build -buildvcs=false -o "$go" .)
rust=$(cargo_binary --bin sample-verify-webhook)
signer=$(cargo_binary --example sign)

start_platform
if ! "$python" .ci/checks/interop.py "$platform_url" "$signer" "$rust" "$go"; then
    echo "--- the platform said:" >&2
    tail -n 50 "$platform_log" >&2
    exit 1
fi
