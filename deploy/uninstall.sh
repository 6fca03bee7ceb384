#!/bin/bash
# Removes a service: unit, program, user and group. Keeps the configuration, models and the gallery, unless the
# questions are answered with yes.
#
#   uninstall.sh hailo-pose|hailo-face [--yes] [--purge]
#
#   --yes    do not ask; keep configuration and data
#   --purge  do not ask; delete configuration and data as well: models, and of hailo-face the gallery with its backups
#
# At the end of the input, each answer is no. Kept data belongs to root afterwards, and a new installation takes it
# over. A service that was installed as a Debian package is removed with apt. Needs root.
set -euo pipefail
export LC_ALL=C.UTF-8

here=$(cd -P "$(dirname "$0")" && pwd)
. "$here/common.sh"

yes=no purge=no

parse_arguments() {
    prefix=uninstall
    test $# -gt 0 || { usage >&2; exit 1; }
    case $1 in -h | --help) usage; exit 0 ;; esac
    set_service "$1"
    prefix=$service
    shift
    while test $# -gt 0; do
        case $1 in
            --yes | -y) yes=yes ;;
            --purge) purge=yes ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; fail "unknown option: $1" ;;
        esac
        shift
    done
}

wants() { # QUESTION
    test "$purge" = no || return 0
    test "$yes" = no && ask "$1"
}

# Only hailo-face asks before it begins. Without a terminal, calling this script is the answer.
confirm() {
    test "$service" = hailo-face && test "$yes" = no && test "$purge" = no && test -t 0 || return 0
    ask "Remove $service?" || { say 'nothing was removed'; exit 0; }
}

remove_package() {
    local action=remove
    if test "$purge" = yes; then
        action=purge
        echo "$service $service/delete_data boolean true" | debconf-set-selections
    fi
    DEBIAN_FRONTEND=noninteractive apt-get -y "$action" "$service" < /dev/null
    exit
}

other() { test "$service" = hailo-pose && echo hailo-face || echo hailo-pose; }

remove_unit() {
    local file
    if has_systemd; then
        systemctl --quiet disable --now "$service.socket" "$unit" 2> /dev/null || true
    fi
    for file in "$unit" "$service.socket" "$unit.d"; do
        rm -rf "/etc/systemd/system/$file" "/etc/systemd/system/multi-user.target.wants/$file"
    done
    ! has_systemd || systemctl daemon-reload
}

# The programs share their runtime, which stays while the other service is installed.
remove_program() {
    local share=/usr/local/share
    rm -f "/usr/local/bin/$service" "/usr/local/bin/$service-server" "$share/man/man1/$service.1" \
        "$share/bash-completion/completions/$service" "$share/zsh/site-functions/_$service" \
        "$share/fish/vendor_completions.d/$service.fish"
    rm -rf "/opt/$service" "/var/log/$service" "/etc/xdg/$service"
    if ! test -e "/etc/systemd/system/$(other).service"; then
        rm -rf /usr/local/lib/hailo-services "$share/hailo-services"
        rm -f "/usr/local/bin/$(other)" "/usr/local/bin/$(other)-server" "$share/man/man1/$(other).1" \
            "$share/bash-completion/completions/$(other)" "$share/zsh/site-functions/_$(other)" \
            "$share/fish/vendor_completions.d/$(other).fish" /etc/udev/rules.d/60-hailo.rules
    fi
}

remove_config() {
    test -e "$config" || return 0
    if wants "Delete the configuration $config?"; then
        rm -f "$config"
        rmdir --ignore-fail-on-non-empty /etc/hailo
    else
        say "kept: $config"
    fi
}

# The number of the deleted user may be given to another one, who must not get the data.
remove_data() {
    local contents='all models'
    test -d "$data" || return 0
    test "$service" = hailo-pose || contents='the gallery of people, its backups and all models'
    if wants "Delete $data with $contents?"; then
        rm -rf --one-file-system "$data"
    else
        chown -R -h root:root "$data"
        chmod 700 "$data"
        say "kept: $data"
    fi
}

remove_user() {
    ! getent passwd "$service" > /dev/null || userdel "$service"
    ! getent group "$service" > /dev/null || groupdel "$service"
}

parse_arguments "$@"
need_root
! is_package "$service" || remove_package
confirm
remove_unit
remove_program
remove_config
remove_data
remove_user
say 'removed'
