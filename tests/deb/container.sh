#!/bin/bash
# Builds the image of the Containerfile on a Debian 13 made by debootstrap, and runs the service in it: not as root,
# with a read-only root folder. Needs root, podman with runc or crun, debootstrap, and the network for Debian's packages.
#
#   tests/deb/container.sh [hailo-pose|hailo-face]
#
# Exit code 77: skipped, because this machine cannot run containers.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)
service=${1:-hailo-pose}
suite=trixie
started=$(date +%s)
container=

say() { printf '[container +%ss] %s\n' $(($(date +%s) - started)) "$*"; }
fail() { printf '[container] error: %s\n' "$*" >&2; exit 1; }
skip() { printf '[container] skipped: %s\n' "$*"; exit 77; }
. "$tree/tests/fresh/debian.sh"

finish() {
    test -z "$container" || { podman_ rm -f "$container" > /dev/null 2>&1 || true; }
    rm -rf --one-file-system "$work"
}

# Images and containers are in the work folder, apart from those of this machine.
podman_() {
    podman --root "$work/storage" --runroot "$work/run" --storage-driver vfs --cgroup-manager cgroupfs \
        --runtime "$runtime" --log-level error "$@"
}

limits=(--ulimit nofile=4096:4096 --ulimit nproc=4096:4096 --network host)

make_image_base() {
    unpack_base
    write_sources
    copy_network_settings
    rm -f "$root/etc/resolv.conf" "$root/etc/hosts"
    tar -C "$root" -c . | podman_ import - localhost/hailo-base > /dev/null
    rm -rf --one-file-system "$root"
}

can_run() {
    podman_ run --rm --read-only "${limits[@]}" localhost/hailo-base true > "$work/probe.log" 2>&1
}

build_image() {
    local settings=() name
    while IFS= read -r -d '' name; do settings+=(--env "$name"); done < <(network_environment)
    say "building the image of $service"
    podman_ build "${limits[@]}" --isolation chroot --pull=never "${settings[@]}" \
        --build-arg BASE=localhost/hailo-base --build-arg SERVICE="$service" \
        -t localhost/hailo-service -f "$tree/Containerfile" "$tree" > "$work/build.log" 2>&1 || {
        tail -n 30 "$work/build.log" >&2
        fail 'the image cannot be built'
    }
    say "an image of $(($(podman_ image inspect --format '{{.Size}}' localhost/hailo-service) / 1000000)) MB"
}

run_service() { # ARGUMENT…
    podman_ run "${limits[@]}" --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges \
        -v hailo-data:/var/lib/"$service" "$@"
}

check_service() {
    local port=11436 path=/v1/pose/detect answer
    test "$service" = hailo-pose || port=5002 path=/v1/detect
    run_service --rm -v "$(readlink -f "$tree/.deps/models"):/srv/models:ro" localhost/hailo-service \
        models pull --mirror /srv/models > "$work/pull.log" 2>&1 || { cat "$work/pull.log"; fail 'models pull failed'; }
    container=$(run_service -d localhost/hailo-service)
    curl -s -o /dev/null --fail --retry 100 --retry-all-errors --retry-delay 1 --retry-max-time 90 \
        "http://127.0.0.1:$port/health/ready" || { podman_ logs "$container"; fail 'the service is not ready'; }
    answer=$(curl -sS -F "image=@$tree/deploy/verify/person.jpg" "http://127.0.0.1:$port$path")
    [[ $answer =~ \"count\":\ ?1 ]] || fail "the drawn person was not found: $answer"
    test "$(podman_ exec "$container" id -u)" != 0 || fail 'the service runs as root'
    ! podman_ exec "$container" touch /usr/bin/new 2> /dev/null || fail 'the root folder can be written'
    podman_ exec "$container" hailo-service-health || fail 'the health check fails'
    podman_ stop -t 20 "$container" > /dev/null
    test "$(podman_ inspect --format '{{.State.ExitCode}}' "$container")" = 0 ||
        fail 'SIGTERM does not end the service well'
}

test "$(id -u)" = 0 || skip 'the base image is made with debootstrap, which needs root'
command -v podman > /dev/null || skip 'podman is missing: apt-get install podman runc'
runtime=$(command -v runc || command -v crun) || skip 'runc is missing: apt-get install runc'
find_mirrors
test -n "$mirror" || skip "apt's sources here name no Debian mirror to make a system from"
work=$(mktemp -d "${TMPDIR:-/tmp}/hailo-container.XXXXXX")
root=$work/root
trap finish EXIT
make_image_base
can_run || skip "this machine cannot run containers: $(tail -n 1 "$work/probe.log")"
build_image
check_service
say "$service answers in a container, not as root and with a read-only root folder"
