#!/usr/bin/env bash
# One function as Lambda runs it: a process of its own that speaks the runtime API (cargo lambda watch), called with a
# sample event (cargo lambda invoke), its tables those of a running platform. Uses docs/local.env, so that the
# documentation's commands are the ones that work.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/platform.sh

watch_port=9000
watch_pid=
stop_watch() {
    if [[ -n $watch_pid ]] && kill -0 "$watch_pid" 2>/dev/null; then
        kill -INT "$watch_pid"
        wait "$watch_pid" || true
    fi
    stop_platform
}
trap stop_watch EXIT

# invoke FUNCTION EVENT EXPECTED_STATUS: the answer's body is left in $answer.
invoke() {
    local status
    answer=$(timeout --foreground 600 cargo lambda invoke "$1" -A 127.0.0.1 -P "$watch_port" --data-file "$2")
    status=$(jq -r .statusCode <<<"$answer")
    echo "$1 $2: $status"
    if [[ $status != "$3" ]]; then
        echo "expected $3: $answer" >&2
        echo "--- the function said:" >&2
        tail -n 30 "$platform_data/watch" >&2
        return 1
    fi
}

start_platform 8000
cargo lambda watch --bin campaigns -A 127.0.0.1 -P "$watch_port" --env-file docs/local.env --ignore-changes \
    >"$platform_data/watch" 2>&1 </dev/null &
watch_pid=$!
# A request would already start the function, so only the port is tried.
until (: <"/dev/tcp/127.0.0.1/$watch_port") 2>/dev/null; do
    kill -0 "$watch_pid"
    sleep 0.2
done

invoke campaigns events/campaigns/list.json 401

api=http://127.0.0.1:8000
token=$(curl --silent --fail "$api/api/auth/signup" --json '{"organization_name":"Lambda","name":"Ada Lovelace",
    "email":"ada@lambda.example","password":"a difference engine of brass"}' | jq -er .access_token)
key=$(curl --silent --fail "$api/api/admin/api-keys" -H "authorization: Bearer $token" \
    --json '{"name":"lambda","scopes":["campaigns:read","campaigns:write"]}' | jq -er .key)
for event in create list malformed; do
    jq --arg key "$key" '.headers.authorization = "Bearer " + $key' "events/campaigns/$event.json" >"$platform_data/$event.json"
done
invoke campaigns "$platform_data/create.json" 201
id=$(jq -er '.body | fromjson | .id' <<<"$answer")
invoke campaigns "$platform_data/list.json" 200
invoke campaigns "$platform_data/malformed.json" 400

# What the function wrote is what the platform reads.
curl --silent --fail "$api/v1/campaigns/$id" -H "authorization: Bearer $key" | jq -e --arg id "$id" '.id == $id' >/dev/null
