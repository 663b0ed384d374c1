#!/usr/bin/env bash
# The form of the OpenAPI document, by Redocly's linter and the rules in contract/redocly.yaml. That the platform answers as
# it says is held in the acceptance tests, of every answer.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/toolchains.sh

need_node
npm ci --prefix .ci/checks/contract --ignore-scripts --no-audit --no-fund --loglevel=error
npm run --prefix .ci/checks/contract --silent lint
