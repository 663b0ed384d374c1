# Sourced by checks that need a running platform: starts one on a fresh data directory and stops it when the script ends.
# Never started by itself.

platform_data=$(mktemp -d)
platform_log=$platform_data/log
platform_pid=

stop_platform() {
    if [[ -n $platform_pid ]] && kill -0 "$platform_pid" 2>/dev/null; then
        kill -INT "$platform_pid"
        local deadline=$((SECONDS + 10))
        while kill -0 "$platform_pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
        if kill -0 "$platform_pid" 2>/dev/null; then
            echo "the platform did not stop within 10 s of SIGINT; killing it" >&2
            kill -KILL "$platform_pid"
        fi
        wait "$platform_pid" || true
    fi
    rm -rf "$platform_data"
}
trap stop_platform EXIT

# free_port: a port that is free, as is the one after it: a platform takes two neighbours.
free_port() {
    python3 - <<'PYTHON'
import socket

while True:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        try:
            other.bind(("127.0.0.1", port + 1))
        except (OSError, OverflowError):
            continue
        print(port)
        break
PYTHON
}

# start_platform PORT: returns once /health answers 200.
start_platform() {
    # `cargo run` replaces itself by the program, so this is the program's own process id.
    cargo run --quiet -- --port "$1" --data-dir "$platform_data/state" >"$platform_log" 2>&1 </dev/null &
    platform_pid=$!
    local deadline=$((SECONDS + ${PLATFORM_START_SECONDS:-900}))
    until curl --silent --fail --output /dev/null --max-time 5 "http://127.0.0.1:$1/health"; do
        if ! kill -0 "$platform_pid" 2>/dev/null; then
            echo "the platform ended before it served:" >&2
            cat "$platform_log" >&2
            return 1
        fi
        if ((SECONDS > deadline)); then
            echo "the platform did not serve in time:" >&2
            cat "$platform_log" >&2
            return 1
        fi
        sleep 0.2
    done
}
