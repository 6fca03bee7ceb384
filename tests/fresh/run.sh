#!/bin/bash
# Runs the README's first code block as a new user would: in a minimal Debian made by debootstrap,
# in a clean clone of HEAD, with only git and make installed. Then installs, and tests the programs
# without the clone (install.sh). Needs root, debootstrap and the network.
#
#   tests/fresh/run.sh [--suite bookworm|trixie] [--user] [--install] [--shell]
#
#   --user      as an ordinary user with sudo, not as root without it
#   --install   only the demo and the installation, not all of the README's commands
#   --shell     opens a shell in the system afterwards (also after a failure)
#
# HS_CHECK_PYTEST: only these files of pytest (tools/check.sh).
#
# debian.sh makes the system. All mounts are in a private mount namespace and all processes in a
# private process namespace, so nothing is left behind, however the script ends.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)

say() { printf '[fresh +%ss] %s\n' $(($(date +%s) - started)) "$*"; }
fail() { printf '[fresh] error: %s\n' "$*" >&2; exit 1; }
. "$tree/tests/fresh/debian.sh"

parse_arguments() {
    suite=bookworm user=root shell=no all=yes
    while test $# -gt 0; do
        case $1 in
            --suite) suite=${2:?}; shift ;;
            --user) user=visitor ;;
            --install) all=no ;;
            --shell) shell=yes ;;
            *) sed -n '6s/^# *//p' "$0" >&2; exit 2 ;;
        esac
        shift
    done
    [[ $suite =~ ^[a-z]+$ ]] || fail "no Debian suite: $suite"
}

inside() { # USER COMMAND
    local settings=() home=/root
    mapfile -d '' -t settings < <(network_environment)
    test "$1" = root || home=/home/$1
    test -z "${HS_CHECK_PYTEST:-}" || settings+=("HS_CHECK_PYTEST=$HS_CHECK_PYTEST")
    chroot "$root" /usr/bin/env -i HOME="$home" USER="$1" TERM="${TERM:-dumb}" LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${settings[@]}" \
        setpriv --reuid="$1" --regid="$(test "$1" = root && echo 0 || echo 1000)" --init-groups \
        sh -c "cd \"\$HOME/hailo-services\" 2> /dev/null || cd \"\$HOME\"; $2" < "${input:-/dev/null}"
}

install_prerequisites() {
    local extra=''
    test "$user" = root || extra=sudo
    say "apt: git make ca-certificates $extra"
    inside root "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        git make ca-certificates $extra" > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail 'apt failed'; }
    if test "$user" != root; then
        inside root "useradd --create-home --uid 1000 --shell /bin/bash $user &&
            echo '$user ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/$user"
    fi
}

# Prints the lines of the first ```sh block.
readme_commands() {
    awk '/^```/ { if (inside) exit; inside = 1; next } inside && NF' "$clone/README.md" |
        if test "$all" = yes; then cat; else grep '^make demo'; fi
}

run_commands() {
    local command start count=0 status=0
    while IFS= read -r command <&4; do
        say "\$ $command"
        start=$SECONDS
        count=$((count + 1))
        inside "$user" "$command" || status=$?
        say "$command: exit code $status after $((SECONDS - start)) s"
        test "$status" = 0 || break
    done 4< <(readme_commands)
    test "$count" != 0 || fail 'README.md has no code block'
    if test "$status" = 0; then
        cp "$clone/tests/fresh/install.sh" "$root/usr/local/"
        inside root "/usr/local/install.sh '${clone#"$root"}'" || status=$?
        say "install.sh: exit code $status"
    fi
    if test "$shell" = yes; then
        input=/dev/tty inside "$user" 'exec bash -i' || true
    fi
    return "$status"
}

# Runs everything inside the namespaces, beginning with the base system.
main_inside() {
    mount_kernel_folders
    write_sources
    copy_network_settings
    install_prerequisites
    copy_certificates
    clone=$root/$(test "$user" = root && echo root || echo "home/$user")/hailo-services
    git clone --quiet --no-local "$tree" "$clone"
    test "$user" = root || chroot "$root" chown -R "$user:" "/home/$user/hailo-services"
    say "a clean clone of $(git -C "$tree" log -1 --format='%h %s')"
    run_commands
}

main() {
    local child=
    started=$(date +%s)
    parse_arguments "$@"
    test "$(id -u)" = 0 || fail 'this needs root (debootstrap, chroot)'
    command -v unshare > /dev/null || fail 'unshare is missing: apt-get install util-linux'
    test -z "$(git -C "$tree" status --porcelain)" || say 'note: changes that are not committed are not tested'
    find_mirrors
    test -n "$mirror" || fail "apt's sources here name no Debian mirror to make a system from"
    work=$(mktemp -d "${TMPDIR:-/tmp}/hailo-fresh.XXXXXX")
    root=$work/root
    trap 'rm -rf --one-file-system "$work"' EXIT
    trap 'test -z "$child" || kill "$child" 2> /dev/null; exit 143' INT TERM
    unpack_base
    export started tree suite user shell all mirror security work root
    unshare --mount --pid --fork --kill-child "$BASH" "$0" --inside &
    child=$!
    wait "$child"
}

if test "${1:-}" = --inside; then
    main_inside
else
    main "$@"
fi
