#!/usr/bin/env bash
# What is linked into each function, looked at one function at a time as `sam build` builds them: one TLS stack, and
# nothing that only the local platform or a test needs. `cargo deny` cannot tell, as it sees the workspace as a whole.
set -euo pipefail
cd "$(dirname "$0")/../.."

# What would be a second TLS stack, the SDK's unused sign-in clients, or an engine of the local platform.
banned='openssl|openssl-sys|native-tls|hyper-tls|ring|s2n-tls|aws-sdk-sso|aws-sdk-ssooidc|dynoxide-rs|rusqlite|winterbaume-.*|proptest|insta'
# Of these there is exactly one version, or none at all.
single='rustls|hyper|hyper-rustls|h2|tokio|aws-lc-sys|hmac|sha2'

failures=0
for manifest in functions/*/Cargo.toml; do
    function=$(basename "$(dirname "$manifest")")
    tree=$(cargo tree --locked --package "$function" --edges normal,build --target aarch64-unknown-linux-gnu --prefix none \
        --format '{p}' | awk '{ print $1, $2 }' | sort -u)
    if unwanted=$(grep -E "^($banned) " <<<"$tree"); then
        echo "$function links what it must not:" ${unwanted//$'\n'/, }
        failures=$((failures + 1))
    fi
    if legacy=$(grep -E '^(rustls v0\.2[0-2]\.|hyper v0\.|hyper-rustls v0\.2[0-6]\.)' <<<"$tree"); then
        echo "$function links the SDK's legacy HTTP stack:" ${legacy//$'\n'/, }
        failures=$((failures + 1))
    fi
    if doubled=$(awk '{ print $1 }' <<<"$tree" | grep -E "^($single)$" | uniq -d | grep .); then
        echo "$function links two versions of:" ${doubled//$'\n'/, }
        failures=$((failures + 1))
    fi
    echo "$function: $(wc -l <<<"$tree") crates"
done
exit $((failures > 0))
