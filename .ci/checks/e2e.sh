#!/usr/bin/env bash
# Deploys template.yaml to an emulator of AWS that holds every function to its role, and runs the acceptance tests that a
# deployment can answer. infra/e2e/README.md says what that proves and what it does not.
#
#   e2e.sh                                  deploys, and runs all of them
#   e2e.sh --serve                          deploys, says where, and waits for Ctrl-C
#   e2e.sh --without FanoutFunction:sqs:SendMessage
#                                           deploys without one permission, and passes if that is missed
set -euo pipefail
cd "$(dirname "$0")/../.."

without=()
serve=
while (($# > 0)); do
    case $1 in
        --without) without+=(--without "$2") && shift 2 ;;
        --serve) serve=yes && shift ;;
        *) echo "unknown argument: $1" >&2 && exit 2 ;;
    esac
done

source .ci/checks/emulator.sh
start_emulator
.ci/checks/build-functions.sh
deploy_stack target/lambda "${without[@]}"
export ARTISAN_E2E_URL=$url ARTISAN_E2E_EMULATOR=$AWS_ENDPOINT_URL

if [[ -n $serve ]]; then
    wait "$emulator_pid"
    exit
fi

status=0
if ((${#without[@]} == 0)); then
    mapfile -t scenarios < <(python3 infra/e2e/scenarios.py)
    selected=(--exact "${scenarios[@]}")
else
    # Enough to miss something, and soon.
    selected=(scenarios::)
    export ARTISAN_E2E_PATIENCE_SECONDS=20
fi
# Not `--package`: what the workspace as a whole asks for is compiled already.
cargo test --locked --test it -- "${selected[@]}" || status=$?

refused=$(refused)
echo "${refused:-nothing was refused that a role does not allow}"
if ((${#without[@]} > 0)); then
    if ((status != 0)) && [[ -n $refused ]]; then
        echo "missed: ${without[*]}"
        exit 0
    fi
    echo "not missed: ${without[*]}" >&2
    exit 1
fi
if ((status != 0)) || [[ -n $refused ]]; then
    errors
    exit 1
fi
.venv/bin/python infra/e2e/complete.py e2e --faults
