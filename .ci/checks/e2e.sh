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
source .ci/checks/toolchains.sh

without=()
serve=
while (($# > 0)); do
    case $1 in
        --without) without+=(--without "$2") && shift 2 ;;
        --serve) serve=yes && shift ;;
        *) echo "unknown argument: $1" >&2 && exit 2 ;;
    esac
done

work=$(mktemp -d)
emulator_pid=
stop() {
    if [[ -n $emulator_pid ]] && kill -0 "$emulator_pid" 2>/dev/null; then
        kill -TERM "$emulator_pid"
        wait "$emulator_pid" || true
    fi
    rm -rf "$work"
}
trap stop EXIT

# The tools. The emulator has its own environment, see its requirements.
command -v sam >/dev/null && command -v cargo-lambda >/dev/null || pinned aws-sam-cli cargo-lambda
emulator_python=.venv/emulator/bin/python
[[ -x $emulator_python ]] || python3 -m venv .venv/emulator
"$emulator_python" -m pip install --quiet --disable-pip-version-check --requirement infra/e2e/requirements.txt
tools_python=.venv/bin/python

.ci/checks/build-functions.sh

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
export AWS_ENDPOINT_URL=http://127.0.0.1:$port

# Functions inherit the emulator's environment beneath their own: where AWS is, and that webhooks may go to loopback, which
# the template never says.
mkdir "$work/tmp"
env TMPDIR="$work/tmp" AUTH=true BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" MINISTACK_REGION=$AWS_DEFAULT_REGION \
    WEBHOOK_ALLOW_LOOPBACK=true "$emulator_python" infra/e2e/emulator.py >"$work/emulator.log" 2>&1 </dev/null &
emulator_pid=$!
until curl --silent --fail --output /dev/null --max-time 5 "$AWS_ENDPOINT_URL/_ministack/health"; do
    if ! kill -0 "$emulator_pid" 2>/dev/null; then
        cat "$work/emulator.log" >&2
        exit 1
    fi
    sleep 0.2
done

began=$SECONDS
"$tools_python" infra/e2e/adapt.py template.yaml target/lambda "$work" "${without[@]}"
sam build --template "$work/template.json" --build-dir "$work/built" --build-in-source --parallel >"$work/build.log" 2>&1 ||
    { cat "$work/build.log" >&2 && exit 1; }
# Retries are due after one second.
sam deploy --config-file "$PWD/samconfig.toml" --template-file "$work/built/template.yaml" --stack-name e2e \
    --no-confirm-changeset --no-progressbar --parameter-overrides WebhookRetryBaseSeconds=1 >"$work/deploy.log" 2>&1 ||
    { tail -n 50 "$work/deploy.log" >&2 && exit 1; }
ARTISAN_E2E_URL=$("$tools_python" infra/e2e/complete.py e2e)
export ARTISAN_E2E_URL ARTISAN_E2E_EMULATOR=$AWS_ENDPOINT_URL
echo "deployed in $((SECONDS - began)) s: $ARTISAN_E2E_URL"

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

refused=$(grep '^refused: ' "$work/emulator.log" | sort | uniq -c || true)
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
    grep -E '"level":"ERROR"|ERROR' "$work/emulator.log" | tail -n 20 >&2
    exit 1
fi
"$tools_python" infra/e2e/complete.py e2e --faults
