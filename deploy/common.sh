# Functions of install.sh, uninstall.sh and verify.sh. To be sourced, not run; $0 is one of them.
#
# $service: hailo-pose or hailo-face; $prefix: the first words of each message.

say() { printf '[%s] %s\n' "$prefix" "$*"; }
warn() { printf '[%s] warning: %s\n' "$prefix" "$*" >&2; }
fail() { printf '[%s] error: %s\n' "$prefix" "$*" >&2; exit 1; }

# Prints the comment at the beginning of the script.
usage() { sed -n '2,/^[^#]/{/^#/!q; s/^# \?//; p}' "$0"; }

set_service() { # NAME
    case $1 in
        pose | hailo-pose) service=hailo-pose ;;
        face | hailo-face) service=hailo-face ;;
        *) fail "no such service: $1 (hailo-pose or hailo-face)" ;;
    esac
    config=/etc/hailo/$service.yaml
    data=/var/lib/$service
    unit=$service.service
}

need_root() {
    test "$(id -u)" = 0 || fail "run this as root: sudo $0 $service"
}

has_systemd() { test -d /run/systemd/system && command -v systemctl > /dev/null; }

is_package() { # PACKAGE
    test "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null || true)" = installed
}

# Asks a question. The default answer is no, also at the end of the input.
ask() { # QUESTION
    local answer=
    printf '[%s] %s [y/N] ' "$prefix" "$1"
    read -r answer || { echo; return 1; }
    [[ $answer =~ ^[Yy]([Ee][Ss])?$ ]]
}

# Prints a setting as the service reads it; nothing if it has none of that name.
setting() { # NAME
    "$service" config show --list --quiet 2> /dev/null | sed -n "s/^${1//./\\.} = //p" |
        sed -E 's/ +# [^#]*$//; s/^"(.*)"$/\1/'
}

# Sets $url and ${curl[@]} from the configuration of this machine.
find_url() {
    local host port prefix_path scheme=http
    host=$(setting server.host) port=$(setting server.port) prefix_path=$(setting server.path_prefix)
    test -n "$port" || { test "$service" = hailo-pose && port=11436 || port=5002; }
    # The certificate names the machine, not this address.
    test -z "$(setting server.tls_certificate)" || { scheme=https; curl+=(--insecure); }
    case $host in
        unix:*) curl+=(--unix-socket "${host#unix:}") host=localhost port=80 ;;
        '' | 0.0.0.0) host=127.0.0.1 ;;
        ::) host='[::1]' ;;
        *:*) host="[$host]" ;;
    esac
    url=$scheme://$host:$port${prefix_path%/}
}
