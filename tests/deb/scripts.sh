#!/bin/bash
# Runs inside a system of run.sh, as root. Installs, verifies and uninstalls with the scripts of deploy, and
# lets each step of an installation fail. The program systemctl of this folder stands for systemd.
set -euo pipefail
umask 077
export LC_ALL=C.UTF-8

staged=/srv/staged steps=0
tools=/srv/standins
PATH=$tools:$PATH

say() { printf '[scripts] %s\n' "$*"; }
fail() { printf '[scripts] error: %s\n' "$*" >&2; exit 1; }
finish() { for unit in hailo-pose hailo-face; do "$tools/systemctl" stop $unit.service; done; }
trap finish EXIT

# Leaves only the libraries that the packages need.
install_libraries() {
    quiet apt-get -qq install -y --no-install-recommends /srv/packages/*.deb
    quiet apt-get -qq purge -y hailo-face hailo-pose hailo-services-common
    rm -rf /var/lib/hailo-* /etc/hailo /opt/hailo-face /etc/systemd/system/{,multi-user.target.wants/}hailo-*
    for name in hailo-pose hailo-face; do userdel "$name"; done
}

# The files of the packages, as "make install" places them.
make_staged() {
    local deb
    for deb in /srv/packages/*.deb; do dpkg-deb -x "$deb" /srv/unpacked; done
    mkdir -p "$staged/usr/local"
    rm -rf /srv/unpacked/usr/lib/{sysusers.d,tmpfiles.d,udev,systemd} /srv/unpacked/usr/share/{doc,lintian}
    mv /srv/unpacked/usr/{bin,lib,share} "$staged/usr/local/"
    rm "$staged"/usr/local/share/man/man1/*-server.1.gz
    gzip -d "$staged"/usr/local/share/man/man1/*.gz
    mv "$staged/usr/local/share/zsh/vendor-completions" "$staged/usr/local/share/zsh/site-functions"
    mkdir -p "$tools" /run/systemd/system
    cp /srv/test/systemctl "$tools/"
    printf '#!/bin/sh\necho journal of "$@"\n' > "$tools/journalctl"
    chmod 755 "$tools"/*
}

quiet() { # COMMAND…
    "$@" > /tmp/out.log 2>&1 < /dev/null || { cat /tmp/out.log; fail "failed: $*"; }
}

refused() { # TEXT COMMAND…
    ! "${@:2}" > /tmp/out.log 2>&1 < /dev/null || { cat /tmp/out.log; fail "did not fail: ${*:2}"; }
    grep -qF -- "$1" /tmp/out.log || { cat /tmp/out.log; fail "does not say '$1': ${*:2}"; }
}

install() { # SERVICE
    quiet env HS_MODELS_MIRROR=/srv/models "/srv/deploy/$1/install.sh" --staged "$staged" --warmup-model
}

# All files that an installation may change, with their contents, owners and modes; users and groups.
picture_of() {
    local roots=(/usr/local /etc/hailo /etc/xdg /etc/systemd /etc/udev /var/lib/hailo-pose /var/lib/hailo-face)
    find "${roots[@]}" \( -name compiled -o -name backups -o -name '*.lock' -o -name 'faces.db*' \) -prune -o ! -type d -printf \
        '%p %M %u %g %l\n' 2> /dev/null | sort || true
    find "${roots[@]}" \( -name compiled -o -name backups -o -name 'faces.db*' \) -prune -o -type f -print0 2> /dev/null | sort -z |
        xargs -0 -r sha256sum || true
    grep hailo /etc/passwd /etc/group || true
    for unit in hailo-pose hailo-face; do
        "$tools/systemctl" is-active $unit.service && echo "$unit active"
        "$tools/systemctl" is-enabled $unit.service && echo "$unit enabled"
    done || true
}

# A command that fails once, at its N-th call, and works before and after.
break_command() { # COMMAND N
    local real
    real=$(PATH=${PATH#*:} command -v "$1")
    echo "$2" > /run/calls-left
    cat > "$tools/$1" << SCRIPT
#!/bin/sh
left=\$(cat /run/calls-left 2> /dev/null)
if [ "\$left" = 1 ]; then
    rm -f /run/calls-left
    echo broken >&2
    exit 1
fi
test -z "\$left" || echo \$((left - 1)) > /run/calls-left
exec $real "\$@"
SCRIPT
    chmod 755 "$tools/$1"
}

check_rollback() { # DESCRIPTION
    local before=/tmp/before after=/tmp/after
    picture_of > "$before"
    "${@:2}"
    refused 'putting back' env HS_MODELS_MIRROR=/srv/models /srv/deploy/install.sh hailo-face --staged "$staged"
    picture_of > "$after"
    if ! diff "$before" "$after" > /tmp/diff; then
        head -n 20 /tmp/diff /tmp/out.log
        fail "$1: not all was put back"
    fi
    steps=$((steps + 1))
}

fail_systemctl() { echo "$1" > /run/standin/fail; }

# Commands of the steps, in their order, and the verbs of systemctl.
fail_each_step() { # STATE
    local command n verb
    steps=0
    for command in useradd groupadd usermod install mv setpriv; do
        test "$1" = fresh || [[ $command != useradd && $command != groupadd && $command != setpriv ]] || continue
        test "$command" != setpriv || continue
        for n in 1 3; do
            [[ $n = 1 || $command = install || $command = mv ]] || continue
            check_rollback "$1, $command, call $n" break_command "$command" "$n"
            rm -f "$tools/$command" /run/calls-left
        done
    done
    for verb in daemon-reload enable restart; do check_rollback "$1, systemctl $verb" fail_systemctl "$verb"; done
    say "$1: $steps failures of a step, and all was put back"
}

fail_config() {
    cp -p /etc/hailo/hailo-face.yaml /tmp/config
    echo 'server: { port: no }' > /etc/hailo/hailo-face.yaml
    check_rollback 'a configuration that is not valid' true
    cp -p /tmp/config /etc/hailo/hailo-face.yaml
}

install_and_verify() {
    local service
    for service in hailo-pose hailo-face; do
        install $service
        grep -q 'no Hailo was found' /tmp/out.log || fail "$service: no warning without a device"
        quiet "/srv/deploy/$service/verify.sh"
        grep -q 'All checks passed' /tmp/out.log || fail 'verify does not say that all checks passed'
        cp "/etc/hailo/$service.yaml" "/tmp/$service.yaml"
    done
    test -f /etc/xdg/hailo-pose/hailo-pose.json || fail 'the configuration was not rendered'
    say 'installed and verified'
}

# Repeating changes nothing but restarts the service.
install_again() {
    local before
    echo '# my line' >> /etc/hailo/hailo-face.yaml
    before=$(cat /run/standin/hailo-face.service.pid)
    install hailo-face
    tail -n 1 /etc/hailo/hailo-face.yaml | grep -x '# my line' > /dev/null ||
        fail 'installing again replaces the configuration'
    test "$(cat /run/standin/hailo-face.service.pid)" != "$before" || fail 'the old program still runs'
    say 'installed again'
}

# verify.sh must notice each fault.
verify_finds_faults() {
    refused '✗ health' /srv/deploy/verify.sh face --url http://127.0.0.1:1
    "$tools/systemctl" stop hailo-face.service
    refused 'is not active' /srv/deploy/verify.sh face
    "$tools/systemctl" start hailo-face.service
    cp /srv/deploy/verify/person.jpg /tmp/person.jpg
    base64 -d <<< iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII= \
        > /srv/deploy/verify/person.jpg
    refused '✗ detection' /srv/deploy/verify.sh face
    refused '✗ detection' /srv/deploy/verify.sh pose
    cp /tmp/person.jpg /srv/deploy/verify/person.jpg
    quiet /srv/deploy/verify.sh face
    say 'verify finds faults'
}

uninstall() {
    quiet /srv/deploy/hailo-face/uninstall.sh
    test -f /var/lib/hailo-face/faces.db || fail 'uninstalling without a terminal deletes the gallery'
    test "$(stat -c '%U %a' /var/lib/hailo-face)" = 'root 700' || fail 'kept data does not belong to root'
    test -f /etc/hailo/hailo-face.yaml || fail 'uninstalling without a terminal deletes the configuration'
    ! getent passwd hailo-face > /dev/null || fail 'the user is left'
    ! getent group hailo-face > /dev/null || fail 'the group is left'
    test -x /usr/local/bin/hailo-pose || fail 'uninstalling one service removes the other'
    quiet /srv/deploy/verify.sh pose
    install hailo-face
    test "$(stat -c %U /var/lib/hailo-face/faces.db)" = hailo-face || fail 'kept data is not taken over'
    quiet /srv/deploy/uninstall.sh hailo-face --purge
    quiet /srv/deploy/uninstall.sh hailo-pose --purge
    find / -xdev \( -path /proc -o -path /sys -o -path /srv -o -path /tmp -o -path /run -o -path /var/lib/dpkg \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/systemd \) -prune -o -name '*hailo*' -print > /tmp/left
    test ! -s /tmp/left || { cat /tmp/left; fail 'files are left'; }
    say 'uninstalled'
}

install_libraries
make_staged
fail_each_step fresh
install_and_verify
fail_config
fail_each_step installed
install_again
verify_finds_faults
uninstall
say 'all passed'
