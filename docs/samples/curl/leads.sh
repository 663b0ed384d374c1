#!/usr/bin/env bash
# Uses an Artisan API key: asks whose it is, creates a lead in a way that can be repeated, reads all leads page by page.
#
#     ARTISAN_URL=https://api.example.com ARTISAN_API_KEY=sk_test_… ./leads.sh grace@example.com
#
# Needs curl 7.84 and jq 1.6, or newer.
set -euo pipefail
: "${ARTISAN_URL:?is not set: where Artisan is, as in https://api.example.com}"
: "${ARTISAN_API_KEY:?is not set: an API key, as in sk_test_…}"
email=${1:-grace@example.com}

body=$(mktemp)
trap 'rm -f "$body"' EXIT

# call PATH [CURL OPTION...]: leaves the answer in $body, $status, $replayed and $rate_limit. Fails if it is a refusal.
#
# The key is handed over through a pipe: a command line can be read by everybody on the machine.
#
# curl waits as long as the answer's Retry-After says (429, 503) and then sends the same request again; also when there
# was no answer. It gives up after four repetitions, and at once when it would have to wait for more than a minute.
# Repeating is safe for a GET and for a POST with an Idempotency-Key. Everything here is one or the other.
call() {
    local path=$1 answer
    shift
    answer=$(curl --silent --show-error --max-time 35 \
        --retry 4 --retry-max-time 60 --retry-all-errors \
        --header @<(printf 'Authorization: Bearer %s\n' "$ARTISAN_API_KEY") \
        --output "$body" --write-out '%{http_code}|%header{idempotency-replayed}|%header{ratelimit}' \
        "$@" "${ARTISAN_URL%/}$path") || exit 1
    IFS='|' read -r status replayed rate_limit <<<"$answer"
    ((status < 400)) || return 1
}

# What was refused and why, for a person. `code` never changes and is what a program looks at; `request_id` is what
# support asks for.
problem() {
    jq -r --arg status "$status" '
        "\($status) \(.code): \(.detail)",
        (.errors[]? | "  \(.pointer) (\(.code)): \(.message)"),
        (.permission // empty | "  the key lacks the scope \(.)"),
        "  request \(.request_id)"' "$body" 2>/dev/null || {
        # A proxy on the way may answer with something else than JSON.
        echo "$status"
        cat "$body"
    }
}

fail() {
    problem >&2
    exit 1
}

call /v1/whoami || fail
jq -r '"\(.id) acts for \(.organization_id), mode \(.mode), scopes \(.scopes | join(" "))"' "$body"

# The key is named after what the request is about, so that a program that crashed and starts over sends the same one.
# A random one does as well if it is stored before the request is sent. It is remembered for 24 hours.
create() {
    call /v1/leads --json "$(jq -n --arg email "$email" '{email: $email, custom: {source: "import"}}')" \
        --header "Idempotency-Key: import-$email"
}
create || fail
lead=$(jq -r .id "$body")
echo "lead $lead"
# Once more, as a program does that does not know whether the first request arrived.
create || fail
echo "again $(jq -r .id "$body"), replayed: ${replayed:-false}"

# A page of three shows how paging works; 100 is the most, and what a program should ask for.
count=0
pages=0
cursor=
while
    call /v1/leads --get --data limit=3 ${cursor:+--data-urlencode "cursor=$cursor"} || fail
    count=$((count + $(jq '.data | length' "$body")))
    pages=$((pages + 1))
    cursor=$(jq -r '.next_cursor // empty' "$body")
    [[ $cursor ]]
do :; done
echo "$count leads on $pages pages"

# "hourly";r=42;t=3540: 42 requests are left, and in 3540 seconds there are more again.
[[ $rate_limit =~ \;r=([0-9]+)\;t=([0-9]+) ]] && echo "${BASH_REMATCH[1]} requests left, more in ${BASH_REMATCH[2]} s"

# And this is what a refusal looks like.
call /v1/leads --json '{"email": "not an address"}' --header "Idempotency-Key: refused-$email" || problem
