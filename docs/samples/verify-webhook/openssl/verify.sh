#!/usr/bin/env bash
# Verifies a webhook from Artisan and handles its event once.
#
#     ARTISAN_WEBHOOK_SECRET=whsec_… ./verify.sh WAY headers.txt body.json
#
# WAY is one of three; one is enough.
#
#     v1        Standard Webhooks, with the endpoint's secret
#     v1a       Standard Webhooks, with the endpoint's public key, ARTISAN_WEBHOOK_PUBLIC_KEY=whpk_…
#     artisan   X-Artisan-Signature; does not notice that a webhook is an old one sent again
#
# The files are a request as it came: its headers, one `name: value` a line, and its body, byte for byte.
# Needs OpenSSL 3.0 or newer.
set -euo pipefail
way=${1:?which way: v1, v1a or artisan}
headers=${2:?a file with the headers}
body=${3:?a file with the body}
tolerance_seconds=300

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

refuse() {
    echo "refused: $1" >&2
    exit 1
}

# header NAME: its value, or nothing. NAME is in lower case.
header() {
    tr -d '\r' <"$headers" | awk -v name="$1:" \
        'tolower(substr($0, 1, length(name))) == name { sub(/^[^:]*:[ \t]*/, ""); print; exit }'
}

hex() { od -An -v -tx1 | tr -d ' \n'; }

# base64_decode TEXT: not by a command line, which everybody on the machine can read.
base64_decode() { printf '%s' "$1" | openssl base64 -d -A; }

# hmac KEY: HMAC-SHA256 (RFC 2104) of standard input, with a key of 64 bytes at most in hex. `openssl dgst` can do it, but
# takes the key on its command line; the functions and the printf of bash do not.
hmac() { { pad "$1" 0x5c && { pad "$1" 0x36 && cat; } | openssl dgst -sha256 -binary; } | openssl dgst -sha256 -binary; }
pad() {
    local key byte bytes='' i
    printf -v key '%-128s' "$1"
    key=${key// /0}
    for ((i = 0; i < 128; i += 2)); do
        printf -v byte '\\x%02x' "$((16#${key:i:2} ^ $2))"
        bytes+=$byte
    done
    # shellcheck disable=SC2059 # It is meant to be a format.
    printf "$bytes"
}

# same A B: compares texts by their HMACs with a key of the moment, so that the time it takes says nothing about them.
same() {
    local key
    key=$(openssl rand -hex 32)
    [[ $(printf '%s' "$1" | hmac "$key" | hex) == $(printf '%s' "$2" | hmac "$key" | hex) ]]
}

# What Standard Webhooks signs, provided that it is recent.
signed_text() {
    local id timestamp off
    id=$(header webhook-id)
    timestamp=$(header webhook-timestamp)
    [[ $id && $timestamp =~ ^[0-9]{1,12}$ ]] || refuse "it has no webhook-id or webhook-timestamp"
    off=$(($(date +%s) - 10#$timestamp))
    ((${off#-} <= tolerance_seconds)) || refuse "its timestamp is more than five minutes off"
    printf '%s.%s.' "$id" "$timestamp" >"$work/signed"
    cat "$body" >>"$work/signed"
}

# signatures SCHEME: those of one scheme, one a line. There may be several: while a secret is being changed, one by the new
# secret and one by the old.
signatures() { header webhook-signature | tr ' ' '\n' | sed -n "s/^$1,//p"; }

secret_key() { base64_decode "${ARTISAN_WEBHOOK_SECRET#whsec_}" | hex; }

verify_v1() {
    local expected signature
    signed_text
    expected=$(hmac "$(secret_key)" <"$work/signed" | openssl base64 -A)
    while read -r signature; do
        if same "$expected" "$signature"; then return; fi
    done < <(signatures v1)
    refuse "no signature fits"
}

verify_v1a() {
    local signature
    signed_text
    # An Ed25519 public key as openssl reads it (RFC 8410): twelve bytes that are always the same, then the key.
    printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00' >"$work/key"
    base64_decode "${ARTISAN_WEBHOOK_PUBLIC_KEY#whpk_}" >>"$work/key"
    while read -r signature; do
        base64_decode "$signature" >"$work/signature" || continue
        if openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key" -rawin -in "$work/signed" \
            -sigfile "$work/signature" >/dev/null 2>&1; then return; fi
    done < <(signatures v1a)
    refuse "no signature fits"
}

verify_artisan() {
    same "sha256=$(hmac "$(secret_key)" <"$body" | hex)" "$(header x-artisan-signature)" ||
        refuse "the signature does not fit"
}

# handle_once: fails if the event was handled before: a webhook may come more than once, with the same id each time.
#
# mkdir makes a folder once only, however many try at the same time. It is taken away again if handling fails, so that the
# next attempt handles the event. The id in the body is signed in all ways, and the same as webhook-id.
handled=$work/handled # In earnest, a folder that stays; and what is older than a month may go.
handle_once() {
    mkdir -p "$handled"
    mkdir "$handled/$id" 2>/dev/null || return 1
    handle || {
        rmdir "$handled/$id"
        exit 2
    }
}
handle() { echo "handled $id $event"; } # What you do about the event.

case $way in
v1) verify_v1 ;;
v1a) verify_v1a ;;
artisan) verify_artisan ;;
*) refuse "there is no such way" ;;
esac

# It is ours, so its fields are what they should be; jq would do this as well. The first "id" is the event's own.
field() { grep -oE "\"$1\":\"[a-z0-9_.]+\"" "$body" | head -n 1 | cut -d '"' -f 4; }
id=$(field id)
event=$(field event)
handle_once
# As if the same webhook came again. Answer 2xx to it too.
handle_once || echo "again $id: nothing to do"
