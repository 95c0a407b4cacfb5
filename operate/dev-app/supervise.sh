# Runs an application from a folder that is mounted, anew for each line of its input, and ends with it.
# Environment: RUN_AS, COMMAND (shell text), PORT or none, ENTRIES (what a release is made of, one a line; or .)
# and OVERRIDES (shell text). What the release's build has made stays as it is in the image.
current=/opt/hastack/current
from=/opt/hastack/edited
pid=
cd "$current"

bring() {
  if [ "$ENTRIES" = . ]; then
    entries=$(cd "$from" && ls | grep -Evx 'node_modules|__pycache__')
  else
    entries=$ENTRIES
  fi
  echo "$entries" | while IFS= read -r entry; do
    case $entry in */*) mkdir -p "${entry%/*}" ;; esac
    rm -rf "./$entry" && cp -R "$from/$entry" "./$entry" || continue
    # What a link leads to, a key beside the application say, stays as it is
    [ -L "./$entry" ] || chmod -R a+rX "./$entry"
  done
}

stop() {
  [ -n "$pid" ] || return 0
  kill -TERM "-$pid" 2> /dev/null
  tries=0
  while kill -0 "-$pid" 2> /dev/null && [ "$tries" -lt 10 ]; do
    sleep 0.03
    tries=$((tries + 1))
  done
  kill -KILL "-$pid" 2> /dev/null
  wait "$pid" 2> /dev/null
  pid=
}

start() {
  setsid sh -c '
    set -a; . /etc/hastack/environment; eval "$OVERRIDES"; set +a
    unset OVERRIDES ENTRIES
    eval "runuser -u \"$RUN_AS\" -- $COMMAND"
    echo "dev:app: it ended with code $?; save a change, and it is started again" >&2' &
  pid=$!
  [ -n "$PORT" ] || return 0
  tries=0
  until socat -u OPEN:/dev/null "TCP:127.0.0.1:$PORT" 2> /dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] && kill -0 "$pid" 2> /dev/null || return 0
    sleep 0.05
  done
  echo "dev:app: it listens" >&2
}

while read -r _; do
  stop
  bring 2>&1 | sed 's/^/dev:app: /' >&2
  start
done
stop
