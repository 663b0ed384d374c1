# Sourced by checks that deploy template.yaml to an emulator of AWS: starts it, deploys to it, and ends it with the check.
# infra/e2e/README.md says what that proves and what it does not. Never started by itself.

source .ci/checks/toolchains.sh

work=$(mktemp -d)
emulator_pid=
stop_emulator() {
    if [[ -n $emulator_pid ]] && kill -0 "$emulator_pid" 2>/dev/null; then
        kill -TERM "$emulator_pid"
        wait "$emulator_pid" || true
    fi
    rm -rf "$work"
}
trap stop_emulator EXIT

# Also sets what makes every AWS client here call the emulator.
start_emulator() {
    command -v sam >/dev/null && command -v cargo-lambda >/dev/null || pinned aws-sam-cli cargo-lambda
    # It has its own environment, see its requirements.
    local python=.venv/emulator/bin/python
    [[ -x $python ]] || python3 -m venv .venv/emulator
    "$python" -m pip install --quiet --disable-pip-version-check --requirement infra/e2e/requirements.txt

    local port
    port=$(free_port)
    export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port

    # Functions inherit the emulator's environment beneath their own: where AWS is, and that webhooks may go to loopback, which
    # the template never says.
    mkdir "$work/tmp"
    env TMPDIR="$work/tmp" AUTH=true BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" MINISTACK_REGION=$AWS_DEFAULT_REGION \
        WEBHOOK_ALLOW_LOOPBACK=true "$python" infra/e2e/emulator.py >"$work/emulator.log" 2>&1 </dev/null &
    emulator_pid=$!
    until curl --silent --fail --output /dev/null --max-time 5 "$AWS_ENDPOINT_URL/_ministack/health"; do
        if ! kill -0 "$emulator_pid" 2>/dev/null; then
            cat "$work/emulator.log" >&2
            exit 1
        fi
        sleep 0.2
    done
}

# deploy_stack BINARIES [OPTION...]: as the stack `e2e`; the options are those of adapt.py. Sets `url`, where the API answers.
deploy_stack() {
    local began=$SECONDS
    .venv/bin/python infra/e2e/adapt.py template.yaml "$1" "$work" "${@:2}"
    sam build --template "$work/template.json" --build-dir "$work/built" --build-in-source --parallel >"$work/build.log" 2>&1 ||
        { cat "$work/build.log" >&2 && exit 1; }
    # Retries are due after one second.
    sam deploy --config-file "$PWD/samconfig.toml" --template-file "$work/built/template.yaml" --stack-name e2e \
        --no-confirm-changeset --no-progressbar --parameter-overrides WebhookRetryBaseSeconds=1 >"$work/deploy.log" 2>&1 ||
        { tail -n 50 "$work/deploy.log" >&2 && exit 1; }
    url=$(.venv/bin/python infra/e2e/complete.py e2e)
    echo "deployed in $((SECONDS - began)) s: $url"
}

# What roles did not allow, counted.
refused() {
    grep '^refused: ' "$work/emulator.log" | sort | uniq -c || true
}

# The last errors that functions and the emulator wrote.
errors() {
    grep -E '"level":"ERROR"|ERROR' "$work/emulator.log" | tail -n 20 >&2 || true
}
