# Calls of the control plane, for the scripts beside this file.
#
#     GATEWAY   where it is (http://127.0.0.1:8080)
#     TOKEN     of an admin: TOKEN=$(model-token CONNINFO setup admin)
#
# Neither a token nor a key gets into the list of processes.  What is there is
# changed, what is not is made: a script may run again.

GATEWAY=${GATEWAY:-http://127.0.0.1:8080}
: "${TOKEN:?give the token of an admin}"


# call METHOD PATH [JSON]: sets status and answer

call() {
    local data=()
    [ -z "${3:-}" ] || data=(--data-binary @-)

    answer=$(curl -sS -X "$1" -w '\n%{http_code}' "${data[@]}" \
        --config <(printf 'header = "%s"\n' "Authorization: Bearer $TOKEN" \
            "Content-Type: application/json") "$GATEWAY$2" <<<"${3:-}")
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
}


# api METHOD PATH JSON: ends the script if that fails

api() {
    call "$@"
    [[ $status == 2?? ]] || fail "$1 $2"
}


fail() {
    printf '%s: %s %s\n' "$1" "$status" "$answer" >&2
    exit 1
}


# put COLLECTION MEMBER ID JSON: changes it, or makes it with that member

put() {
    call PATCH "$1/$3" "$4"

    if [ "$status" = 404 ]; then
        api POST "$1" "{\"$2\": \"$3\", ${4#\{}"

    elif [[ $status != 2?? ]]; then
        fail "PATCH $1/$3"
    fi
}

provider() { put /api/v1/providers id "$@"; }
model() { put /api/v1/models id "$@"; }
group() { put /api/v1/model-groups name "$@"; }


# members GROUP JSON: of a new group; a group that has some keeps them, since
# their shares are what somebody has made of them

members() {
    api GET "/api/v1/model-groups/$1"

    if [[ $answer == *'"models":[]'* ]]; then
        api POST "/api/v1/model-groups/$1/models" "$2"
    fi
}
