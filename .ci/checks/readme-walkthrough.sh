#!/usr/bin/env bash
# Runs the README's walk-through as it is written, against a platform that has just been started, so that it cannot rot:
# every ```sh block under the heading "Walk-through", in order, in one shell that stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh

walkthrough=$platform_data/walkthrough.sh
awk '
    /^```/ { if (fenced) { fenced = 0; inside = 0 } else { fenced = 1; inside = section && $0 == "```sh" }; next }
    !fenced && /^#+ / { match($0, /^#+/); if (RLENGTH <= depth || !section) { section = ($0 ~ /^#+ Walk-through *$/); depth = RLENGTH } }
    inside { print }
' README.md >"$walkthrough"
if ! grep -q . "$walkthrough"; then
    echo 'README.md has no ```sh block under a heading "Walk-through"' >&2
    exit 1
fi

start_platform 8000
if ! bash -euo pipefail "$walkthrough"; then
    echo "--- the platform said:" >&2
    tail -n 50 "$platform_log" >&2
    exit 1
fi
