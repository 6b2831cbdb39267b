#!/usr/bin/env bash
# A PostgreSQL server of its own for tests: on a socket in a new folder, without a port, gone afterwards.
#
#   eval "$(tests/postgres.sh start)"     exports ADE_TEST_DATABASE_URL and ADE_TEST_POSTGRES
#   cargo test --lib store:: && cargo test --test api
#   tests/postgres.sh stop                pause and resume: for a test of a database that is away
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
    resume_in "$data"
    echo "export ADE_TEST_POSTGRES=$data"
    echo "export ADE_TEST_DATABASE_URL='postgres://ade@localhost/postgres?host=$data'"
}

resume_in() {
    unprivileged "$(bin)/pg_ctl" -D "$1/cluster" -l "$1/log" -w -t 60 start -o "-k $1 -c listen_addresses= \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300" >"$1.log" 2>&1 ||
        fail "pg_ctl: $(tail -5 "$1.log" "$1/log")"
    rm -f "$1.log"
}

ours() {
    case "${ADE_TEST_POSTGRES:-}" in
        /tmp/ade-postgres.*) echo "$ADE_TEST_POSTGRES" ;;
        *) fail "ADE_TEST_POSTGRES names no server of ours" ;;
    esac
}

# Away for a while: whoever is connected is cut off.
pause() {
    local data
    data=$(ours)
    unprivileged "$(bin)/pg_ctl" -D "$data/cluster" -m fast -w stop >/dev/null
}

resume() {
    local data
    data=$(ours)
    resume_in "$data"
}

stop() {
    local data
    data=$(ours)
    unprivileged "$(bin)/pg_ctl" -D "$data/cluster" -m immediate -w stop >/dev/null || true
    rm -rf "$data"
}

case "${1:-}" in
    start | stop | pause | resume) "$1" ;;
    *) fail "usage: $0 start|stop|pause|resume" ;;
esac
