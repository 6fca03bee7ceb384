#!/bin/bash
# Installs a service from this source tree: program, user, configuration, systemd unit and model; enables and starts it.
# Run it again to upgrade. Debian packages do the same with apt (docs/install.md).
#
#   install.sh hailo-pose|hailo-face [--warmup] [--no-models] [--staged DIR]
#
#   --warmup, --warmup-model  wait until the model is loaded
#   --no-models               do not download the default model if it is missing
#   --staged DIR              install these files instead of building: the DESTDIR of "make install"
#
# Keeps an existing configuration, models and the gallery. If a step fails, everything that was there before is put
# back. Needs root, and no terminal.
set -Eeuo pipefail
export LC_ALL=C.UTF-8
umask 022

here=$(cd -P "$(dirname "$0")" && pwd)
tree=$(dirname "$here")
. "$here/common.sh"

staged='' warmup=no pull=yes
work='' data_owner='' changed=no created_user=no created_group=no was_active=no was_enabled=no restarted=no step=''

parse_arguments() {
    prefix=install
    test $# -gt 0 || { usage >&2; exit 1; }
    case $1 in -h | --help) usage; exit 0 ;; esac
    set_service "$1"
    prefix=$service
    shift
    while test $# -gt 0; do
        case $1 in
            --warmup | --warmup-model) warmup=yes ;;
            --no-models) pull=no ;;
            --staged) staged=$(cd "${2:?--staged needs a folder}" && pwd); shift ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; fail "unknown option: $1" ;;
        esac
        shift
    done
}

# ---- what can be put back -------------------------------------------------------------------------------------------

# Copies a file to the work folder before it is changed, or notes that it was absent.
save() { # PATH
    if test -e "$1" || test -L "$1"; then
        mkdir -p "$work/before$(dirname "$1")"
        cp -a "$1" "$work/before$1"
    else
        printf '%s\0' "$1" >> "$work/absent"
    fi
}

put_back_files() {
    local path
    while IFS= read -r -d '' path; do
        rm -f "$path"
        rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")" 2> /dev/null || true
    done < "$work/absent"
    test ! -d "$work/before" || cp -a --remove-destination "$work/before/." /
}

# Deletes the data only if it was made by this run.
put_back_data() {
    if test -z "$data_owner"; then
        rm -rf "$data"
    elif test "$data_owner" != "$(stat -c %u:%g "$data")"; then
        chown -R -h "$data_owner" "$data"
    fi
}

# userdel may delete the group as well.
put_back_user() {
    test "$created_user" = no || userdel "$service" || true
    test "$created_group" = no || ! getent group "$service" > /dev/null || groupdel "$service" || true
}

put_back_service() {
    has_systemd || return 0
    systemctl daemon-reload || true
    test "$was_enabled" = yes || systemctl --quiet disable "$unit" 2> /dev/null || true
    # A service that this run has not stopped still runs, with its former program and settings.
    if test "$was_active" = no; then
        systemctl stop "$unit" 2> /dev/null || true
    elif test "$restarted" = yes; then
        systemctl restart "$unit" || warn "$unit cannot be started again"
    fi
}

finish() {
    local status=$?
    trap - EXIT
    if test "$status" != 0 && test "$changed" = yes; then
        warn "failed: $step; putting back what was there before"
        test "$was_active" = yes || ! has_systemd || systemctl stop "$unit" 2> /dev/null || true
        put_back_files
        put_back_data
        put_back_user
        put_back_service
    fi
    test -z "$work" || rm -rf "$work"
    exit "$status"
}

# ---- steps ----------------------------------------------------------------------------------------------------------

# Also with the driver of version 5.3, whose nodes have another name.
check_device() {
    compgen -G '/dev/hailo[0-9]*' > /dev/null || compgen -G '/dev/h1x-*' > /dev/null ||
        warn "no Hailo was found (/dev/hailo0); the processor will do the work (docs/hailo.md)"
}

check_machine() {
    ! is_package "$service" || fail "$service is installed as a Debian package; upgrade it with apt"
    check_device
}

# Builds as the owner of the tree, so that it gets no files that only root may change. Packages need root.
build() {
    local owner as_owner=()
    test -z "$staged" || return 0
    test -f "$tree/Makefile" && test -f "$tree/meson.build" ||
        fail "$tree is not a source tree; with Debian packages: sudo apt install ./hailo-*.deb"
    say "building in $tree"
    "$tree/tools/setup.sh" packages
    owner=$(stat -c %U "$tree")
    test "$owner" = root || as_owner=(runuser -u "$owner" --)
    "${as_owner[@]}" make -C "$tree" PREFIX=/usr/local
    staged=$work/staged
    DESTDIR=$staged meson install --quiet --no-rebuild --strip -C "$tree/build"
}

check_staged() {
    program=$(cd "$staged" && compgen -G "usr/local/bin/$service" || true)
    test -n "$program" ||
        fail "$staged has no usr/local/bin/$service; make it with make install PREFIX=/usr/local DESTDIR=…"
}

save_state() {
    touch "$work/absent"
    test ! -d "$data" || data_owner=$(stat -c %u:%g "$data")
    if has_systemd; then
        ! systemctl --quiet is-active "$unit" || was_active=yes
        ! systemctl --quiet is-enabled "$unit" 2> /dev/null || was_enabled=yes
    fi
    changed=yes
}

create_user() {
    local node group
    if ! getent passwd "$service" > /dev/null; then
        getent group "$service" > /dev/null || { groupadd --system "$service" && created_group=yes; }
        useradd --system --gid "$service" --no-create-home --home-dir "$data" --shell /usr/sbin/nologin "$service"
        created_user=yes
    fi
    usermod --append --groups video "$service"
    # A rule of the administrator may give the node to another group.
    for node in /dev/hailo[0-9]* /dev/h1x-*; do
        test -e "$node" || continue
        group=$(stat -c %G "$node")
        test "$group" = root || usermod --append --groups "$group" "$service"
    done
}

create_folders() {
    install -d -m 755 /etc/hailo
    # Data that was kept after a removal of the user belongs to root.
    test ! -d "$data" || test "$(stat -c %U "$data")" = "$service" || chown -R -h "$service:$service" "$data"
    if test "$service" = hailo-pose; then
        install -d -m 750 -o "$service" -g "$service" "$data" "$data/models" "$data/cache"
    else
        install -d -m 700 -o "$service" -g "$service" "$data" "$data/models"
    fi
}

# Each file is replaced by rename, so that a running service keeps its own.
install_files() {
    local path
    while IFS= read -r -d '' path; do
        save "/$path"
        save "/$path.new"
        mkdir -p "/$(dirname "$path")"
        cp -a --no-preserve=ownership "$staged/$path" "/$path.new"
        mv -f "/$path.new" "/$path"
    done < <(cd "$staged" && find . -mindepth 1 ! -type d -printf '%P\0')
}

install_config() {
    local rendered=/etc/xdg/hailo-pose/hailo-pose.json
    save "$config"
    test -e "$config" || install -m 644 "$here/config/$service.yaml" "$config"
    "/usr/local/bin/$service" config check --config "$config" || fail "$config is not valid"
    # The service reads the YAML file; other programs may expect the rendered one.
    if test "$service" = hailo-pose; then
        save "$rendered"
        "/usr/local/bin/$service" config render --input "$config" --output "$rendered" > /dev/null ||
            warn "$config is not complete, so it is not rendered as JSON; the service reads it directly"
    fi
}

# The unit of an older installation is replaced, and with it the program that runs.
install_unit() {
    local file
    for file in "$unit" "$service.socket"; do
        save "/etc/systemd/system/$file"
        install -D -m 644 "$here/systemd/$file" "/etc/systemd/system/$file"
    done
    save /etc/udev/rules.d/60-hailo.rules
    install -D -m 644 "$here/systemd/60-hailo.rules" /etc/udev/rules.d/60-hailo.rules
    test ! -S /run/udev/control || { udevadm control --reload && udevadm trigger --subsystem-match=hailo_chardev \
        --subsystem-match=hailo1x; } || warn "udev did not read the new rule"
}

as_service() { # COMMAND…
    (cd / && exec setpriv --reuid="$service" --regid="$service" --init-groups env HOME="$data" "$@" < /dev/null)
}

# Without the network, the rest still succeeds.
pull_models() {
    has_models=yes
    ! as_service "/usr/local/bin/$service" models ready --quiet 2> /dev/null || return 0
    has_models=no
    if test "$pull" = yes; then
        say "downloading the default model"
        ! as_service "/usr/local/bin/$service" models pull || { has_models=yes; return 0; }
    fi
    warn "no model is installed. Download one and start the service:
    sudo -u $service $service models pull && sudo systemctl start $service"
}

check_port() {
    local port
    port=$(setting server.port)
    test "$was_active" = no && command -v ss > /dev/null || return 0
    ! ss -Hltn "sport = :$port" | grep -q . || warn "port $port is in use by another program"
}

start_service() {
    if ! has_systemd; then
        warn "systemd is not running: $service is installed, but not started"
        return 0
    fi
    systemctl daemon-reload
    systemctl --quiet enable "$unit"
    check_port
    restarted=yes
    systemctl restart "$unit"
    test "$has_models" = yes || return 0
    systemctl --quiet is-active "$unit" || {
        journalctl --no-pager -n 20 -u "$unit" || true
        fail "$unit did not start"
    }
}

# A service that is slow to answer is a warning only.
check_answer() {
    local path=/health try curl=(curl -sS -f -o /dev/null --max-time 5)
    has_systemd && test "$has_models" = yes && command -v curl > /dev/null || return 0
    find_url
    test "$warmup" = no || path=/health/ready
    for try in {1..5} $(test "$warmup" = no || seq 6 120); do
        ! "${curl[@]}" "$url$path" 2> /dev/null || { say "$service answers at $url"; return 0; }
        sleep 1
    done
    warn "$url$path does not answer; see: journalctl -u $service"
}

run() { # DESCRIPTION FUNCTION
    step=$1
    "$2"
}

parse_arguments "$@"
need_root
trap finish EXIT
trap 'exit 143' INT TERM
work=$(mktemp -d)
run 'checking this machine' check_machine
run 'building' build
run 'checking the files' check_staged
save_state
run 'creating the user' create_user
run 'creating the folders' create_folders
run 'copying the programs' install_files
run 'writing the configuration' install_config
run 'installing the unit' install_unit
run 'downloading the model' pull_models
run 'starting the service' start_service
run 'asking for an answer' check_answer
say "installed; check it with: $here/verify.sh $service"
