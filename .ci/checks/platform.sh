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

# start_platform [PORT]: returns once it serves; `platform_url` is where. Without a port, on any that is free.
start_platform() {
    : >"$platform_log"
    # `cargo run` replaces itself by the program, so this is the program's own process id.
    cargo run --quiet -- --port "${1:-0}" --data-dir "$platform_data/state" >"$platform_log" 2>&1 </dev/null &
    platform_pid=$!
    local deadline=$((SECONDS + ${PLATFORM_START_SECONDS:-900}))
    until platform_url=$(grep -m 1 -E -o 'http://localhost:[0-9]+$' "$platform_log") && [[ -n $platform_url ]]; do
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
    platform_url=${platform_url/localhost/127.0.0.1}
    if ! curl --silent --show-error --fail --output /dev/null --max-time 30 "$platform_url/health"; then
        cat "$platform_log" >&2
        return 1
    fi
}
