# shellcheck shell=bash
#
# Shell functions that the scripts of tools/ share; source it, from bash.
#
# Two directories matter.  RUN is the one that the user names (run/ of the
# checkout by default).  BASE is where everything lives that another user must
# reach: PostgreSQL as "postgres", Redis and nginx workers as "nobody" when the
# scripts run as root.  BASE is RUN itself, or, where that cannot be reached by
# those users or is too long for a socket's name, a directory of mktemp that
# RUN/base remembers.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# a socket's path has at most 107 bytes; /sock/.s.PGSQL.5432 follows BASE
base_max=85


say() {
    printf '%s\n' "$*"
}


die() {
    printf '%s: %s\n' "${0#"$top/"}" "$*" >&2
    exit 1
}


# need COMMAND PACKAGE: ends with one line if the command is not there

need() {
    command -v "$1" >/dev/null 2>&1 \
        || die "\"$1\" is not installed; run: apt-get install $2"
}


# as USER COMMAND...: runs a command as that user if we are root, else directly

as() {
    local user=$1
    shift

    if [ "$(id -u)" != 0 ]; then
        "$@"
        return
    fi

    setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups \
        --reset-env env PATH="$PATH" LC_ALL=C.UTF-8 "$@"
}


# reachable DIR: "postgres" and "nobody" can get into it

reachable() {
    [ "$(id -u)" != 0 ] && return 0
    as postgres test -x "$1" && as nobody test -x "$1"
}


# base_of RUN: prints BASE, or nothing if there is none yet

base_of() {
    if [ -f "$1/base" ]; then
        cat "$1/base"
    fi
}


# base_make RUN: makes RUN and BASE, prints BASE

base_make() {
    local run=$1 base

    mkdir -p "$run" || die "cannot make the directory \"$run\""
    base=$(base_of "$run")

    if [ -z "$base" ] || [ ! -d "$base" ]; then
        base=$run

        if [ ${#base} -gt $base_max ] || ! reachable "$base"; then
            base=$(mktemp -d "${TMPDIR:-/tmp}/model-XXXXXX") \
                || die "cannot make a directory in ${TMPDIR:-/tmp}"
            chmod 755 "$base"
        fi

        printf '%s\n' "$base" >"$run/base" \
            || die "cannot write to \"$run\" (is the disk full?)"
    fi

    reachable "$base" || die "\"$base\" can no longer be reached by the users" \
        "postgres and nobody: chmod a+x the directories above it, or make clean"

    printf '%s\n' "$base"
}


# alive PIDFILE NAME: the process of the file's first line still runs, and is a
# NAME (a pid file may be older than the last boot)

alive() {
    local pid name state

    [ -s "$1" ] || return 1
    read -r pid <"$1" || return 1
    [ -r "/proc/$pid/comm" ] || return 1
    read -r name <"/proc/$pid/comm" || return 1
    state=$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null) || return 1
    [[ $name == $2* ]] && [ "$state" != Z ]
}


# gone PIDFILE NAME SECONDS: waits until the process has ended

gone() {
    local i

    for ((i = 0; i < $3 * 20; i++)); do
        alive "$1" "$2" || return 0
        sleep 0.05
    done

    return 1
}


# the directory of PostgreSQL's programs, the newest version first

pg_bin() {
    local dir

    for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -Vr); do
        if [ -x "$dir/initdb" ]; then
            printf '%s\n' "$dir"
            return
        fi
    done

    die "no PostgreSQL server in /usr/lib/postgresql;" \
        "run: apt-get install postgresql"
}
