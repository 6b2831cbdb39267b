#!/usr/bin/env bash
# A PostgreSQL server of its own for tests: on a socket in a new folder, without a port, gone afterwards.
#
#   eval "$(tests/postgres.sh start)"     exports ADE_TEST_DATABASE_URL and ADE_TEST_POSTGRES
#   cargo test --lib store:: && cargo test --test api
#   tests/postgres.sh stop
#
# Needs initdb and pg_ctl: Debian's package postgresql, or PG_BIN names their folder. PostgreSQL refuses to run as
# root, so root starts it as the user `postgres`, or `nobody` where there is none.
set -euo pipefail

fail() { echo "$*" >&2; exit 1; }

bin() {
    local folder
    for folder in "${PG_BIN:-}" "$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin; do
        [ -x "$folder/initdb" ] && { echo "$folder"; return; }
    done
    fail "no initdb: apt-get install postgresql, or set PG_BIN"
}

# Runs a command as a user that PostgreSQL accepts.
unprivileged() {
    [ "$(id -u)" = 0 ] || { "$@"; return; }
    local user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    (cd / && runuser -u "$user" -- "$@")
}

start() {
    local pg data
    pg=$(bin)
    data=$(unprivileged mktemp -d /tmp/ade-postgres.XXXXXX)
    # An order and a case of letters unlike SQLite's, where the server can: a query that relies on them is found out.
    local locale=(--locale=C.UTF-8)
    if "$pg/initdb" --help | grep -q icu-locale; then locale+=(--locale-provider=icu --icu-locale=en-US); fi
    # Everybody is trusted, because only this folder leads to it; nothing is synced, because nothing is worth keeping.
    unprivileged "$pg/initdb" -D "$data/cluster" --auth=trust --username=ade --encoding=UTF8 "${locale[@]}" --no-sync \
        >"$data.log" 2>&1 || fail "initdb: $(tail -5 "$data.log")"
    unprivileged "$pg/pg_ctl" -D "$data/cluster" -l "$data/log" -w -t 60 start -o "-k $data -c listen_addresses= \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300" >"$data.log" 2>&1 ||
        fail "pg_ctl: $(tail -5 "$data.log" "$data/log")"
    rm -f "$data.log"
    echo "export ADE_TEST_POSTGRES=$data"
    echo "export ADE_TEST_DATABASE_URL='postgres://ade@localhost/postgres?host=$data'"
}

stop() {
    local data=${ADE_TEST_POSTGRES:-}
    case "$data" in /tmp/ade-postgres.*) ;; *) fail "ADE_TEST_POSTGRES names no server of ours" ;; esac
    unprivileged "$(bin)/pg_ctl" -D "$data/cluster" -m immediate -w stop >/dev/null || true
    rm -rf "$data"
}

case "${1:-}" in
    start | stop) "$1" ;;
    *) fail "usage: $0 start|stop" ;;
esac
