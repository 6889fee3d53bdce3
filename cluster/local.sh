#!/usr/bin/env bash
# A token-protected Ray cluster on this machine: `make cluster` and `make cluster-stop`, which is start and stop.
# The dashboard, and with it the jobs API, listens on loopback. Ray's own ports listen on all interfaces whatever it is
# told, and ask for the token.
# It ends with what `stop` kills and nothing else: `ray stop` would end every cluster that runs here.
set -euo pipefail

port=${PORT:-6379} dashboard=${DASHBOARD_PORT:-8265} state=${STATE:-out/cluster}
url=http://127.0.0.1:$dashboard
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=${RAY_USAGE_STATS_ENABLED:-0}
export RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve.edge.middlewares
unset RAY_ADDRESS

fail() { echo "error: $*" >&2; exit 2; }

running() { # the process of `start`, not another one that has got its number since
  [ -s "$state/pid" ] && ps -o args= -p "$(cat "$state/pid")" 2>/dev/null | grep -q "ray start --head"
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

answers() {
  python - "$url/api/version" <<'PY' 2>/dev/null
import os, pathlib, sys, urllib.request
path = os.environ.get("RAY_AUTH_TOKEN_PATH") or pathlib.Path.home() / ".ray/auth_token"
token = os.environ.get("RAY_AUTH_TOKEN") or pathlib.Path(path).read_text()
urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers={"Authorization": f"Bearer {token}"}), timeout=2)
PY
}

usage() {
  cat <<TEXT
A cluster runs, and asks for a token (in ~/.ray/auth_token, unless RAY_AUTH_TOKEN_PATH says otherwise). To use it:

  export RAY_AUTH_MODE=token
  ray job submit --address $url --runtime-env cluster/code.yaml -- python jobs/extract.py --videos "\$PWD/my_clips" --out "\$PWD/landmarks"
  RAY_ADDRESS=127.0.0.1:$port python jobs/status.py --cluster
  serve deploy --address $url serve/config.yaml      # after its bundles are edited

The dashboard asks for the token, which \`ray get-auth-token\` shows: $url
make cluster-stop ends it.
TEXT
}

start() {
  if running; then fail "a cluster runs already ($state/pid); make cluster-stop ends it"; fi
  if taken "$port"; then fail "port $port is taken; make cluster PORT=..."; fi
  if taken "$dashboard"; then fail "port $dashboard is taken; make cluster DASHBOARD_PORT=..."; fi
  mkdir -p "$state"
  if [ -z "${RAY_AUTH_TOKEN:-}${RAY_AUTH_TOKEN_PATH:-}" ]; then
    (umask 077; ray get-auth-token --generate >"$state/log" 2>&1) || fail "no token: $(tail -n 1 "$state/log")"
    : >"$state/log" # which has the token in it
  fi
  mktemp -d /tmp/sigflow-XXXXXX >"$state/folder" # Ray's sockets lie below it; their paths end at 107 bytes
  # The agent takes submitted jobs; where its usual port is taken, Ray goes on without it and says nothing: 0 is any.
  setsid ray start --head --block --node-ip-address=127.0.0.1 --port="$port" --temp-dir="$(cat "$state/folder")" \
    --dashboard-host=127.0.0.1 --dashboard-port="$dashboard" --dashboard-agent-listen-port=0 </dev/null >>"$state/log" 2>&1 &
  echo $! >"$state/pid"
  for _ in $(seq 120); do
    if answers; then usage; return; fi
    if ! running; then break; fi
    sleep 0.5
  done
  end
  fail "Ray did not start: $(grep -v '^$' "$state/log" | tail -n 1); $state/log has the rest"
}

end() {
  if running; then
    local group
    group=$(cat "$state/pid")
    kill -TERM -- "-$group" 2>/dev/null || true
    for _ in $(seq 20); do
      if ! kill -0 -- "-$group" 2>/dev/null; then break; fi
      sleep 0.5
    done
    kill -KILL -- "-$group" 2>/dev/null || true
  fi
  case "$(cat "$state/folder" 2>/dev/null)" in /tmp/sigflow-*) rm -rf -- "$(cat "$state/folder")" ;; esac
  rm -f "$state/pid" "$state/folder"
}

case "${1:-}" in
  start) start ;;
  stop)
    if ! running; then echo "no cluster of make cluster runs here"; fi
    end
    ;;
  *) fail "local.sh start, or stop" ;;
esac
