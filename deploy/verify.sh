#!/bin/bash
# Checks an installed service: its unit, health, readiness, models, and the detection in a drawn picture; of hailo-face
# also that a person can be added, recognised and removed, which leaves the gallery as it was.
#
#   verify.sh hailo-pose|hailo-face [--url URL] [--key-file FILE] [--cacert FILE] [--no-unit]
#
#   --url       another address than that of the configuration, such as https://camera.example:8443
#   --key-file  an API key, if the service requires keys: scopes detect, and for hailo-face recognize, gallery:read and
#               gallery:write
#   --cacert    the certificate authority of --url
#   --no-unit   do not check the systemd unit
#
# Needs curl, and no root. Exit code: 0 if all checks passed.
set -uo pipefail
export LC_ALL=C.UTF-8

here=$(cd -P "$(dirname "$0")" && pwd)
prefix=verify
. "$here/common.sh"

picture=$here/verify/person.jpg
curl=(curl -sS --max-time 60) url='' check_unit=yes failures=0 added=

parse_arguments() {
    test $# -gt 0 || { usage >&2; exit 2; }
    case $1 in -h | --help) usage; exit 0 ;; esac
    set_service "$1"
    shift
    while test $# -gt 0; do
        case $1 in
            --url) url=${2:?--url needs an address}; shift ;;
            --key-file) key=$(head -n 1 "${2:?--key-file needs a file}") || exit 2; shift ;;
            --cacert) curl+=(--cacert "${2:?--cacert needs a file}"); shift ;;
            --no-unit) check_unit=no ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; exit 2 ;;
        esac
        shift
    done
}

pass() { say "✓ $*"; }
miss() { failures=$((failures + 1)); say "✗ $*"; }

# Sets $status (000: no answer) and $body, without the blanks of JSON. The key is not in the list of processes.
request() { # PATH CURL-ARGUMENT…
    local answer
    answer=$("${curl[@]}" -w '\n%{http_code}' -H @<(test -z "${key:-}" || echo "Authorization: Bearer $key") \
        "${@:2}" "$url$1" 2>&1) || true
    status=${answer##*$'\n'} body=${answer%$'\n'*}
    [[ $status =~ ^[0-9]{3}$ ]] || status=000
    body=$(sed -E 's/(["0-9a-z}]|\]|^)([:,]) /\1\2/g' <<< "$body")
}

brief() { head -c 300 <<< "$status $body" | tr '\n' ' '; }

count_of() { # PATTERN: the number of its matches in $body
    grep -oE -- "$1" <<< "$body" | wc -l
}

number_of() { # MEMBER: its value in $body
    grep -oE "\"$1\":[0-9]+" <<< "$body" | head -n 1 | cut -d: -f2
}

verify_unit() {
    test "$check_unit" = yes || return 0
    has_systemd || { say "- unit: systemd is not running here; left out"; return 0; }
    systemctl --quiet is-enabled "$unit" 2> /dev/null || systemctl --quiet is-enabled "$service.socket" 2> /dev/null ||
        { miss "unit: $unit does not start at boot: sudo systemctl enable $unit"; return; }
    systemctl --quiet is-active "$unit" ||
        { miss "unit: $unit is not active: sudo systemctl status $unit"; return; }
    pass "unit: enabled and active"
}

verify_health() {
    local healthy='"status":"ok"'
    test "$service" = hailo-pose || healthy='"status":"healthy"'
    request /health
    if test "$status" = 200 && [[ $body == *"$healthy"* ]]; then pass "health"; else miss "health: $(brief)"; fi
}

# A model that is just being loaded is waited for.
verify_ready() {
    local try
    for try in {1..60}; do
        request /health/ready
        test "$status" != 503 || [[ $body != *model_loading* ]] || test "$try" = 60 || { sleep 0.5; continue; }
        break
    done
    if test "$status" = 200 && [[ $body == *'"ready":true'* ]]; then pass "ready"; else miss "ready: $(brief)"; fi
}

verify_models() {
    request /v1/models
    if test "$status" = 200 && [[ $body == *'"object":"list"'* && $body == *'"id":"'* ]]; then
        pass "models: $(grep -oE '"id":"[^"]+"' <<< "$body" | head -n 3 | cut -d'"' -f4 | paste -sd' ')"
    else
        miss "models: $(brief)"
    fi
}

# Each person has 17 named keypoints.
verify_poses() {
    local count
    request /v1/pose/detect -F "image=@$picture"
    count=$(number_of count)
    if test "$status" = 200 && test "${count:-0}" -ge 1 && test "$(count_of '"person_id":')" = "$count" &&
        test "$(count_of '"name":"[a-z_]+"')" = $((17 * count)); then
        pass "detection: $count person with 17 keypoints, $(number_of inference_time_ms) ms"
    else
        miss "detection: the drawn person was not found: $(brief)"
    fi
}

verify_faces() {
    local count
    request /v1/detect -F "image=@$picture"
    count=$(number_of count)
    if test "$status" = 200 && test "${count:-0}" -ge 1 && test "$(count_of '"bbox":\[')" = "$count"; then
        pass "detection: $count face, $(number_of inference_time_ms) ms"
    else
        miss "detection: the drawn face was not found: $(brief)"
    fi
}

remove_added() {
    test -n "$added" || return 0
    request /v1/database/remove -F "name=$added"
    test "$status" = 200 || return 1
    added=
}

verify_gallery() {
    local name before
    request /v1/database/list
    if test "$status" = 503 && [[ $body == *'not enabled'* ]]; then
        say "- gallery: disabled by database.enabled; left out"
        return 0
    fi
    test "$status" = 200 && [[ $body == *'"identities"'* ]] && test -n "$(number_of count)" ||
        { miss "gallery: $(brief)"; return; }
    before=$body name="verify $(od -An -N8 -tx8 /dev/urandom | tr -d ' ')"
    trap remove_added EXIT
    added=$name
    request /v1/database/add -F "name=$name" -F "image=@$picture" -F gate=off
    test "$status" = 200 || { added=; miss "gallery: cannot add a person: $(brief)"; return; }
    request /v1/recognize -F "image=@$picture"
    [[ $status == 200 && $body == *"\"identity\":\"$name\""* ]] ||
        miss "gallery: the added person is not recognised: $(brief)"
    remove_added || { miss "gallery: cannot remove '$name': $(brief)"; return; }
    request /v1/database/list
    if test "$body" = "$before"; then
        pass "gallery: a person was added, recognised and removed; $(number_of count) as before"
    else
        miss "gallery: its list has changed: $(brief)"
    fi
}

parse_arguments "$@"
command -v curl > /dev/null || fail "curl is not installed: apt-get install curl"
test -n "$url" || find_url
url=${url%/}
say "$service at $url"
verify_unit
verify_health
verify_ready
verify_models
if test "$service" = hailo-pose; then
    verify_poses
else
    verify_faces
    verify_gallery
fi
if test "$failures" != 0; then
    say "failed checks: $failures"
    ! has_systemd || journalctl --no-pager -n 20 -u "$unit" 2> /dev/null || true
    exit 1
fi
say "✓ All checks passed"
