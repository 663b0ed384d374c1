#!/usr/bin/env bash
# The console as people use it: in Chromium, by the tests of infra/browser. `browser.sh --screenshots` takes a picture of every
# page instead, at 1440 and 390 pixels, light and dark, into infra/browser/screenshots; names of pages narrow it down.
#
# Chromium is the system's own; where there is none, Debian's is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/toolchains.sh

need_node
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v google-chrome || true)}
if [[ -z $CHROMIUM ]]; then
    as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
    CHROMIUM=$(command -v chromium)
fi
export CHROMIUM

# The second has the identity provider of somebody else's making that people sign on at.
for packages in infra/browser infra/acceptance/oidc-provider; do
    npm ci --prefix "$packages" --ignore-scripts --no-audit --no-fund --loglevel=error
done
ARTISAN_LOCAL=$(cargo_binary --bin artisan-local)
export ARTISAN_LOCAL
if [[ ${1:-} == --screenshots ]]; then
    shift
    npm run --prefix infra/browser --silent screenshots -- "$@"
else
    npm test --prefix infra/browser --silent
fi
