#!/bin/bash
# Runs the README's first code block as a new user would: in a minimal Debian made by debootstrap, in a clean clone of
# HEAD, with only git and make installed. Needs root, debootstrap and the network.
#
#   tests/fresh/run.sh [--suite bookworm|trixie] [--user] [--shell]
#
#   --user    as an ordinary user with sudo, not as root without it
#   --shell   afterwards (also after a failure) opens a shell in there
#
# This machine's way to the network holds inside too: name servers, apt's mirror and proxy, pip's settings, certificates.
# Base systems are kept for a week in ${XDG_CACHE_HOME:-~/.cache}/hailo-services/fresh. All mounts are made in a mount
# namespace of their own and all processes in a process namespace, so nothing is left behind however this ends.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)

say() { printf '[fresh +%ss] %s\n' $(($(date +%s) - started)) "$*"; }
fail() { printf '[fresh] error: %s\n' "$*" >&2; exit 1; }

parse_arguments() {
    suite=bookworm user=root shell=no
    while test $# -gt 0; do
        case $1 in
            --suite) suite=${2:?}; shift ;;
            --user) user=visitor ;;
            --shell) shell=yes ;;
            *) sed -n '5s/^# *//p' "$0" >&2; exit 2 ;;
        esac
        shift
    done
    [[ $suite =~ ^[a-z]+$ ]] || fail "no Debian suite: $suite"
}

# The first Debian mirror that apt knows here; nothing where there is none.
find_mirror() { # LAST-PART-OF-ADDRESS
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2> /dev/null | sed 's/#.*//' |
        grep -oE "https?://[^] ]*/$1/?( |\$)" | sed -n '1s, *$,,p' || true
}

make_base() { # TARBALL
    local folder
    command -v debootstrap > /dev/null || fail 'debootstrap is missing: apt-get install debootstrap'
    say "debootstrap $suite from $mirror"
    mkdir -p "$(dirname "$1")"
    find "$(dirname "$1")" -maxdepth 1 -name "$suite-*.tar" -delete
    folder=$work/base
    debootstrap --variant=minbase "$suite" "$folder" "$mirror" > "$work/debootstrap.log" 2>&1 || {
        tail -n 20 "$work/debootstrap.log" >&2
        fail 'debootstrap failed'
    }
    rm -rf "$folder"/var/cache/apt/archives/*.deb
    tar -C "$folder" -cf "$1.part$$" .
    mv "$1.part$$" "$1"
    mv "$folder" "$root"
}

write_sources() {
    printf 'deb %s %s main\n' "$mirror" "$suite" "$mirror" "$suite-updates" > "$root/etc/apt/sources.list"
    test -z "$security" || printf 'deb %s %s main\n' "$security" "$suite-security" >> "$root/etc/apt/sources.list"
    local file
    # Only what says how to fetch: not this machine's cleaning habits or package choices.
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        if test -f "$file" && grep -qiE '^[^/#]*Acquire::(http|https|ftp|Retries|Check|AllowInsecure|Proxy)' "$file"; then
            cp "$file" "$root/etc/apt/apt.conf.d/"
        fi
    done
    cp -r /etc/apt/auth.conf.d "$root/etc/apt/" 2> /dev/null || true
}

copy_network_settings() {
    local file
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    cp /etc/hosts "$root/etc/hosts"
    for file in /etc/pip.conf "${HOME:-/root}/.config/pip/pip.conf" "${HOME:-/root}/.pip/pip.conf"; do
        test ! -f "$file" || install -D -m 644 "$file" "$root/etc/pip.conf"
    done
}

# The authorities that this machine trusts beyond Debian's own. A bundle that was changed in place is taken as it is.
copy_certificates() {
    local bundle=/etc/ssl/certs/ca-certificates.crt
    if test -d /usr/local/share/ca-certificates; then
        cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
        chroot "$root" update-ca-certificates > /dev/null 2>&1
    fi
    test ! -f "$bundle" || cp -L "$bundle" "$root$bundle"
}

# What of the environment leads to the network; everything else stays outside.
network_environment() {
    env -0 | grep -zE '^(PIP_[A-Z_]+|https?_proxy|no_proxy|all_proxy|HTTPS?_PROXY|NO_PROXY|ALL_PROXY|SSL_CERT_(FILE|DIR)|'\
'CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|GIT_SSL_CAINFO|NODE_EXTRA_CA_CERTS|npm_config_[a-z_]+)=' |
        grep -zvE '^PIP_(FIND_LINKS|REQUIRE_VIRTUALENV|TARGET|PREFIX|USER|ROOT|CACHE_DIR)=' || true
}

inside() { # USER COMMAND
    local settings=() home=/root
    mapfile -d '' -t settings < <(network_environment)
    test "$1" = root || home=/home/$1
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

# Lines of the first ```sh block.
readme_commands() {
    awk '/^```/ { if (inside) exit; inside = 1; next } inside && NF' "$clone/README.md"
}

mount_kernel_folders() {
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
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
    if test "$shell" = yes; then
        input=/dev/tty inside "$user" 'exec bash -i' || true
    fi
    return "$status"
}

# In the namespaces: everything from the base system on.
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
    local tarball child=
    started=$(date +%s)
    parse_arguments "$@"
    test "$(id -u)" = 0 || fail 'this needs root (debootstrap, chroot)'
    command -v unshare > /dev/null || fail 'unshare is missing: apt-get install util-linux'
    test -z "$(git -C "$tree" status --porcelain)" || say 'note: changes that are not committed are not tested'
    mirror=$(find_mirror debian)
    test -n "$mirror" || fail "apt's sources here name no Debian mirror to make a system from"
    security=$(find_mirror debian-security)
    work=$(mktemp -d "${TMPDIR:-/tmp}/hailo-fresh.XXXXXX")
    root=$work/root
    trap 'rm -rf --one-file-system "$work"' EXIT
    trap 'test -z "$child" || kill "$child" 2> /dev/null; exit 143' INT TERM
    tarball=${XDG_CACHE_HOME:-$HOME/.cache}/hailo-services/fresh/$suite-$(dpkg --print-architecture)-$(date +%G-%V).tar
    if test -f "$tarball"; then
        mkdir "$root"
        tar -C "$root" -xf "$tarball"
        say "unpacked $tarball"
    else
        make_base "$tarball"
    fi
    export started tree suite user shell mirror security work root
    unshare --mount --pid --fork --kill-child "$BASH" "$0" --inside &
    child=$!
    wait "$child"
}

if test "${1:-}" = --inside; then
    main_inside
else
    main "$@"
fi
