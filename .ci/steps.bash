# Sourced by the scripts beside it: runs named steps, times each, goes on after a failure and tells at the end.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.tools/venv/bin:$PATH"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} PIP_DISABLE_PIP_VERSION_CHECK=1
timings=() failed=()

# step NAME COMMAND…: runs the command and remembers its name, time and outcome.
step() {
    local name=$1 began=$SECONDS outcome=ok
    shift
    echo "── $name"
    "$@" </dev/null || { outcome=FAILED && failed+=("$name"); }
    timings+=("$(printf '%-6s %5d s  %s' "$outcome" $((SECONDS - began)) "$name")")
}

# finish WHAT: prints the times and exits 1 when a step failed.
finish() {
    echo
    echo "$1, ${SECONDS} s:"
    printf '  %s\n' "${timings[@]}"
    [ ${#failed[@]} -eq 0 ] && return 0
    echo "$1 failed: ${failed[*]}" >&2
    exit 1
}
