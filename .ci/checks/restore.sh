#!/usr/bin/env bash
# Runs the backup and the restore of docs/operations.md as they are written, on a data directory of its own, and sees that what
# was there at the backup is back and what came later is not.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
export port=8730 data=$work/state
platform=
finish() {
    if [[ -n $platform ]] && kill -0 "$platform" 2>/dev/null; then
        kill -INT "$platform"
        wait "$platform" || true
    fi
    rm -rf "$work"
}
trap finish EXIT

# The blocks of the section, each in a file of its own: in between things happen that a backup is for.
python3 .ci/checks/document-blocks.py docs/operations.md "On the local platform" >"$work/all.sh"
awk -v work="$work" 'BEGIN { n = 1 } /^stop$/ { n++ } { print >(work "/block-" n ".sh") }' "$work/all.sh"
[[ -e $work/block-3.sh && ! -e $work/block-4.sh ]]

sign_up() {
    curl -sSf -o /dev/null "http://localhost:$port/api/auth/signup" --json '{
        "organization_name": "'"$1"'", "name": "Ada Lovelace",
        "email": "'"$1"'@example.com", "password": "a difference engine of brass"}'
}

source "$work/block-1.sh"
start
sign_up before
source "$work/block-2.sh"
sign_up after
artisan tenants list | grep -q after
source "$work/block-3.sh"
tenants=$(artisan tenants list)
grep -q before <<<"$tenants"
if grep -q after <<<"$tenants"; then
    echo "what came after the backup is still there" >&2
    exit 1
fi
echo "what was backed up is back, and nothing else"
