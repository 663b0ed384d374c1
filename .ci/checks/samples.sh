#!/usr/bin/env bash
# Checks the types of the sample in TypeScript, then starts a platform on a fresh data directory and runs all samples
# against it: see samples.py. Before that, the commands by which docs/using-api-keys.md gets a key.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh
source .ci/checks/toolchains.sh

need_node
npm_ci docs/samples/typescript
rust=$(cargo_binary --bin sample-leads)

start_platform

# How docs/using-api-keys.md says that a key is got.
python3 .ci/checks/document-blocks.py docs/using-api-keys.md "Getting a key" >"$platform_data/getting-a-key.sh"
ARTISAN_URL=$platform_url bash -euo pipefail "$platform_data/getting-a-key.sh" | jq -e '.mode == "test"'

if ! "${PYTHON:-python3}" .ci/checks/samples.py "$platform_url" "$rust"; then
    echo "--- the platform said:" >&2
    tail -n 50 "$platform_log" >&2
    exit 1
fi
