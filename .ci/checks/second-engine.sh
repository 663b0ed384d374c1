#!/usr/bin/env bash
# The acceptance tests once more, with their tables in Amazon's own DynamoDB Local, so that nothing rests on what the
# embedded engine lets pass. Arguments go to the tests: names of those to run, for one.
#
# DynamoDB Local comes from Maven Central, runs in memory on a loopback port that is free, and ends with this script. It
# brings SQLite for x86-64 only. A test that cannot run on it says so in the output, and why.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/checks/toolchains.sh

plugin=org.apache.maven.plugins:maven-dependency-plugin:3.11.0
jars=target/second-engine

if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
        default-jre-headless maven
fi
# Those of another version must not be on the class path.
rm -rf "$jars"
mvn --batch-mode --quiet -Dstyle.color=never --strict-checksums --file .ci/checks/second-engine/pom.xml \
    "$plugin:copy-dependencies" "-DoutputDirectory=$PWD/$jars"

work=$(mktemp -d)
engine=
stop() {
    [[ -z $engine ]] || kill "$engine" 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT

port=$(free_port)
DDB_LOCAL_TELEMETRY=0 java -Xmx2g -Djava.library.path="$jars" -cp "$jars/*" \
    software.amazon.dynamodb.services.local.main.ServerRunner -inMemory -disableTelemetry -port "$port" \
    >"$work/engine" 2>&1 &
engine=$!
# It answers a request without a signature with an error, which is an answer.
until curl --silent --max-time 5 --output "$work/answer" "http://127.0.0.1:$port/"; do
    if ! kill -0 "$engine" 2>/dev/null; then
        echo "DynamoDB Local does not start:" >&2
        cat "$work/engine" >&2
        exit 1
    fi
    sleep 0.1
done

# No package is named: this way the tests are built with what `cargo test` has built them with.
ARTISAN_TEST_DYNAMODB=http://127.0.0.1:$port cargo test --locked --quiet --test it -- "$@" 2>&1 | tee "$work/tests"
not_run=$(grep -c 'not on the second engine: ' "$work/tests" || true)
awk -v not_run="$not_run" '
    /^test result:/ { passed += $4 }
    END {
        print passed - not_run " tests passed on DynamoDB Local, " not_run " cannot run on it"
        exit passed - not_run > 0 ? 0 : 1
    }' "$work/tests"
