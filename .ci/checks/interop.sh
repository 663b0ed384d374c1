#!/usr/bin/env bash
# Starts a platform on a fresh data directory and runs interop.py against it.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh

port=${INTEROP_PORT:-8010}
start_platform "$port"
if ! "${PYTHON:-.venv/bin/python}" .ci/checks/interop.py "http://127.0.0.1:$port"; then
    echo "--- the platform said:" >&2
    tail -n 50 "$platform_log" >&2
    exit 1
fi
