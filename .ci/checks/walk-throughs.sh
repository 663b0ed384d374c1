#!/usr/bin/env bash
# Runs the README's walk-through and the quick start as they are written, against a platform that has just been started, so
# that they cannot rot: the blocks of each, in order, in one shell that stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh

# walk DOCUMENT [SECTION]
walk() {
    echo "--- $*"
    python3 .ci/checks/document-blocks.py "$@" >"$platform_data/walk.sh"
    if ! bash -euo pipefail "$platform_data/walk.sh"; then
        echo "--- the platform said:" >&2
        tail -n 50 "$platform_log" >&2
        return 1
    fi
}

start_platform 8000
walk README.md Walk-through
walk docs/quick-start.md
