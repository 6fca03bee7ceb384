#!/bin/bash
# Runs inside a system of run.sh, as root, without systemd as its first process. Installs the packages of /srv/packages,
# runs the services as their units would, upgrades and downgrades them with people in the gallery, removes and purges
# them.
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

packages=/srv/packages
server=

say() { printf '[deb inside] %s\n' "$*"; }
fail() { printf '[deb inside] error: %s\n' "$*" >&2; exit 1; }
finish() {
    test -z "$server" || kill -TERM "$server" 2> /dev/null || true
}
trap finish EXIT

as() { # USER COMMAND…
    (exec_as "$@" < /dev/null)
}

exec_as() { # USER COMMAND…
    exec setpriv --reuid="$1" --regid="$1" --init-groups env -i LC_ALL=C.UTF-8 PATH=/usr/bin:/bin \
        HOME="/var/lib/$1" "${@:2}"
}

# Shows the output of a command only if it fails.
logged() { # FILE COMMAND…
    "${@:2}" > "$1" 2>&1 < /dev/null || { cat "$1"; fail "failed: ${*:2}"; }
}

install() { # FILE
    logged "$1" apt-get -qq install -y --no-install-recommends "$packages"/*.deb
}

installed_version() { dpkg-query -W -f '${Version}' "$1"; }

# Starts the unit's program as its user. Prints the address of the service.
start() { # SERVICE PORT
    local command
    command=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/"$1".service)
    # setpriv and env replace this shell, so that $! is the service.
    # shellcheck disable=SC2086 # a list of words
    exec_as "$1" $command --host 127.0.0.1 --port "$2" > "/tmp/$1.log" 2>&1 &
    server=$!
    curl -s -o /dev/null --fail --retry 1000 --retry-delay 1 --retry-all-errors --retry-connrefused \
        --retry-max-time "${TIMEOUT:-60}" "http://127.0.0.1:$2/health/ready" || { cat "/tmp/$1.log"; fail "$1 is not ready"; }
}

stop() {
    kill -TERM "$server"
    wait "$server" || fail 'the service did not end well'
    server=
}

# Also in a system without people and with a strict umask, and without a terminal.
install_first() {
    local begin
    begin=$(date +%s%N)
    install /tmp/install.log
    for service in hailo-pose hailo-face; do
        grep -qF "sudo -u $service $service models pull" /tmp/install.log ||
            fail "$service does not say how to get a model"
        ! as "$service" "$service" models ready > /dev/null 2>&1 || fail "$service has a model already"
        logged /tmp/pull.log as "$service" "$service" models pull --mirror /srv/models
        as "$service" "$service" models ready > /dev/null || fail "$service has no model after a pull"
    done
    start hailo-pose 11436
    check_answer http://127.0.0.1:11436/v1/pose/detect '"count": 1'
    say "$(($(($(date +%s%N) - begin)) / 1000000)) ms from apt-get install to the first answer (models from a folder)"
    stop
}

check_answer() { # ADDRESS TEXT ARGUMENT…
    local answer
    answer=$(curl -sS --fail-with-body --max-time "${TIMEOUT:-60}" -F image=@/srv/test/person.jpg "${@:3}" "$1") ||
        fail "$1: $answer"
    [[ $answer == *"$2"* ]] || fail "$1 does not answer $2: $answer"
}

check_files() {
    local service file
    for service in hailo-pose hailo-face; do
        for file in /etc/hailo/$service.yaml /usr/bin/$service-server /usr/share/man/man1/$service.1.gz \
            /usr/share/bash-completion/completions/$service /usr/share/zsh/vendor-completions/_$service \
            /usr/share/fish/vendor_completions.d/$service.fish /lib/systemd/system/$service.service; do
            test -e "$file" || test "${file#/usr/share/man}" != "$file" || fail "$file is missing"
        done
        test "$(stat -c '%a %U' /etc/hailo/$service.yaml)" = '644 root' || fail "the mode of $service.yaml is wrong"
        test "$(stat -c %U /var/lib/$service)" = "$service" || fail "/var/lib/$service does not belong to $service"
        test -L /etc/systemd/system/multi-user.target.wants/$service.service || fail "$service is not enabled"
        getent passwd $service | grep '/nologin$' > /dev/null || fail "$service may log in"
    done
    grep -qE 'SUBSYSTEM.*hailo_chardev' /lib/udev/rules.d/*hailo*.rules || fail 'no udev rule for /dev/hailo0'
    grep -qE 'SUBSYSTEM.*hailo1x' /lib/udev/rules.d/*hailo*.rules || fail 'no udev rule for /dev/h1x-0'
    test -f /usr/lib/hailo-services/openvino/licenses/LICENSE || fail "OpenVINO's licence is missing"
}

add_people() {
    start hailo-face 5002
    check_answer http://127.0.0.1:5002/v1/database/add added -F 'name=Ada Lovelace'
    check_answer http://127.0.0.1:5002/v1/recognize '"identity":"Ada Lovelace"'
    stop
    as hailo-face hailo-face db list --json > /tmp/people
    grep -q 'Ada Lovelace' /tmp/people || fail 'db list does not list the person'
}

# The same packages with a higher version.
make_newer() {
    local deb folder=/tmp/newer version
    version=$(installed_version hailo-pose)
    mkdir -p /srv/newer
    for deb in "$packages"/*.deb; do
        rm -rf "$folder"
        dpkg-deb -R "$deb" "$folder"
        sed -i "s/$version/$version+1/" "$folder/DEBIAN/control"
        dpkg-deb --root-owner-group -Znone -b "$folder" /srv/newer > /dev/null
    done
    rm -rf "$folder"
}

check_kept() { # VERSION
    test "$(installed_version hailo-face)" = "$1" || fail "the version is $(installed_version hailo-face), not $1"
    as hailo-face hailo-face db list --json | cmp -s - /tmp/people || fail 'people of the gallery are gone'
    tail -n 1 /etc/hailo/hailo-face.yaml | grep -x '# my line' > /dev/null ||
        fail 'the changed configuration file was replaced'
    as hailo-face hailo-face models ready > /dev/null || fail 'the models are gone'
}

upgrade_and_downgrade() {
    local i version begin
    version=$(installed_version hailo-face)
    make_newer
    mkdir -p /srv/older
    for deb in "$packages"/*.deb; do
        rm -rf /tmp/older
        dpkg-deb -R "$deb" /tmp/older
        dpkg-deb --root-owner-group -Znone -b /tmp/older /srv/older > /dev/null
    done
    rm -rf /tmp/older
    echo '# my line' >> /etc/hailo/hailo-face.yaml
    begin=$SECONDS
    for ((i = 1; i <= UPGRADES; i++)); do
        if ((i % 2)); then
            logged /tmp/dpkg.log dpkg --force-unsafe-io -i /srv/newer/*.deb
            check_kept "$version+1"
        else
            logged /tmp/dpkg.log dpkg --force-unsafe-io -i /srv/older/*.deb
            check_kept "$version"
        fi
    done
    start hailo-face 5002
    check_answer http://127.0.0.1:5002/v1/recognize '"identity":"Ada Lovelace"'
    stop
    say "$UPGRADES upgrades and downgrades in $((SECONDS - begin)) s; people, models and configuration are kept"
}

# A package of HailoRT, here with its test double. The module is built when both it and g++ are there, and deleted with it.
follow_hailort() {
    local module=/usr/lib/hailo-services/backends/hs_backend_hailo.so
    compgen -G '/srv/hailort/*.deb' > /dev/null || { say 'the module for HailoRT is left out'; return 0; }
    logged /tmp/hailort.log dpkg -i /srv/hailort/*.deb
    grep -q 'g++ is not' /tmp/hailort.log || { cat /tmp/hailort.log; fail 'no word about g++'; }
    test ! -e "$module" || fail 'there is a module without a compiler'
    logged /tmp/gxx.log apt-get -qq install -y --no-install-recommends g++ libc6-dev
    test -f "$module" || { cat /tmp/gxx.log; fail 'installing g++ does not build the module'; }
    hailo-pose backends list --json | grep '"name": "hailo".*"version": "[^"]*5\.1\.1' > /dev/null ||
        fail 'the module does not open'
    logged /tmp/hailort.log dpkg -P h10-hailort
    test ! -e "$module" || fail 'the module is left after HailoRT was removed'
    say 'the module for HailoRT follows its package'
}

remove_and_purge() {
    logged /tmp/remove.log apt-get -qq remove -y hailo-face hailo-pose hailo-services-common
    test ! -e /usr/bin/hailo-face || fail 'removing leaves the program'
    test ! -e /usr/lib/hailo-services || fail "removing leaves $(find /usr/lib/hailo-services | head)"
    test -f /var/lib/hailo-face/faces.db || fail 'removing deletes the gallery'
    test -f /etc/hailo/hailo-face.yaml || fail 'removing deletes the configuration'
    # Installing again finds everything.
    install /tmp/again.log
    check_kept "$(dpkg-deb -f "$packages"/hailo-face_*.deb Version)"
    logged /tmp/purge.log apt-get -qq purge -y hailo-face
    grep -q '/var/lib/hailo-face is kept' /tmp/purge.log || fail 'purge does not say that the gallery is kept'
    test -f /var/lib/hailo-face/faces.db || fail 'purging without an answer deletes the gallery'
    test ! -e /etc/hailo/hailo-face.yaml || fail 'purging leaves the configuration'
    install /tmp/again.log
    as hailo-face hailo-face db list --json | cmp -s - /tmp/people || fail 'the gallery is not used again after a purge'
    echo 'hailo-face hailo-face/delete_data boolean true' | debconf-set-selections
    logged /tmp/purge.log apt-get -qq purge -y hailo-face
    test ! -e /var/lib/hailo-face || fail 'purging with the answer yes keeps the gallery'
    logged /tmp/purge.log apt-get -qq purge -y hailo-pose hailo-services-common
    rm -r /var/lib/hailo-pose
    say 'removal keeps data and configuration; a purge deletes people only after yes'
}

# Lists all files outside of caches, logs, and the state of apt and dpkg.
list_files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /srv -o -path /run -o -path /root \
        -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /var/lib/dpkg \) -prune -o -print | sort
}

# No file of ours is left after all packages were purged.
check_nothing_left() {
    local left
    left=$(list_files | grep -i hailo || true)
    test -z "$left" || fail "left after purge: $left"
}

# An installation by script: program, unit, configuration and gallery in the places of the first services.
make_old_installation() {
    userdel hailo-face # packages keep users
    useradd --system --no-create-home --shell /usr/sbin/nologin --uid 870 hailo-face
    mkdir -p /opt/hailo-face /etc/hailo /var/lib/hailo-face /etc/systemd/system/multi-user.target.wants
    echo '# old program' > /opt/hailo-face/hailo_face_service.py
    printf 'server:\n  port: 5055\n' > /etc/hailo/hailo-face.yaml
    printf '[Unit]\nDescription=old\n[Service]\nExecStart=/usr/bin/python3 /opt/hailo-face/hailo_face_service.py\n' \
        > /etc/systemd/system/hailo-face.service
    ln -s ../hailo-face.service /etc/systemd/system/multi-user.target.wants/hailo-face.service
    chown -R hailo-face:hailo-face /var/lib/hailo-face
}

adopt() {
    make_old_installation
    install /tmp/adopt.log
    grep -q 'replacing the service of an older installation' /tmp/adopt.log || fail 'the takeover is not reported'
    grep -qx '  port: 5055' /etc/hailo/hailo-face.yaml || fail 'the old configuration was replaced'
    test ! -e /etc/hailo/hailo-face.yaml.adopted || fail 'the old configuration has another name'
    test ! -e /etc/systemd/system/hailo-face.service || fail 'the old unit hides the new one'
    test -f /etc/systemd/system/hailo-face.service.dpkg-old || fail 'the old unit was deleted'
    test "$(id -u hailo-face)" = 870 || fail 'the user has another number'
    as hailo-face hailo-face config show --list | grep '^server.port.*5055' > /dev/null ||
        fail 'the old configuration is not used'
    say 'an older installation is taken over with its configuration, user and data'
}

parts='install_first check_files add_people upgrade_and_downgrade follow_hailort remove_and_purge check_nothing_left'
for part in ${PARTS:-$parts adopt}; do
    "$part"
done
say 'all passed'
