#!/usr/bin/env bash
# Holds a platform on a fresh data directory to its OpenAPI document with Schemathesis, as each role: see schemathesis/run.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh

# For each role. The phases that do not make requests up are through in less; more time finds more.
seconds=${SCHEMATHESIS_SECONDS:-15}
venv=.venv/schemathesis
[[ -x $venv/bin/python ]] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement .ci/checks/schemathesis/requirements.txt

start_platform
if ! "$venv/bin/python" .ci/checks/schemathesis/run.py "$platform_url" "$PWD/$venv/bin/schemathesis" "$seconds"; then
    echo "--- the platform said:" >&2
    tail -n 30 "$platform_log" >&2
    exit 1
fi
