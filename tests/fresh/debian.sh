# Makes Debian systems with debootstrap, for tests/fresh and tests/arm64. To be sourced, not run.
# The systems use this machine's network settings: name servers, apt's mirror and proxy, pip's
# settings, certificates.
#
# Base systems are cached for a week in ${XDG_CACHE_HOME:-~/.cache}/hailo-services/fresh. The
# sourcing script sets $suite, $work (a private folder), $root (the system's folder), and $mirror
# and $security (find_mirrors), and defines the functions `say` and `fail`.

# Prints the first Debian mirror in apt's sources here; nothing if there is none.
find_mirror() { # LAST-PART-OF-ADDRESS
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2> /dev/null | sed 's/#.*//' |
        grep -oE "https?://[^] ]*/$1/?( |\$)" | sed -n '1s, *$,,p' || true
}

find_mirrors() {
    mirror=$(find_mirror debian)
    security=$(find_mirror debian-security)
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

# Unpacks a minimal system to $root, which must not exist yet.
unpack_base() {
    local tarball
    tarball=${XDG_CACHE_HOME:-$HOME/.cache}/hailo-services/fresh/$suite-$(dpkg --print-architecture)-$(date +%G-%V).tar
    if test -f "$tarball"; then
        mkdir "$root"
        tar -C "$root" -xf "$tarball"
        say "unpacked $tarball"
    else
        make_base "$tarball"
    fi
}

write_sources() {
    printf 'deb %s %s main\n' "$mirror" "$suite" "$mirror" "$suite-updates" > "$root/etc/apt/sources.list"
    test -z "$security" || printf 'deb %s %s main\n' "$security" "$suite-security" >> "$root/etc/apt/sources.list"
    local file
    # Copies only settings for fetching, not this machine's cache cleaning or choice of packages.
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

# Copies the certificate authorities that this machine trusts in addition to Debian's. A bundle that
# was edited in place is copied unchanged.
copy_certificates() {
    local bundle=/etc/ssl/certs/ca-certificates.crt
    if test -d /usr/local/share/ca-certificates; then
        cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
        chroot "$root" update-ca-certificates > /dev/null 2>&1
    fi
    test ! -f "$bundle" || cp -L "$bundle" "$root$bundle"
}

# Prints the environment variables for network access; all others are left out.
network_environment() {
    env -0 | grep -zE '^(PIP_[A-Z_]+|https?_proxy|no_proxy|all_proxy|HTTPS?_PROXY|NO_PROXY|ALL_PROXY|SSL_CERT_(FILE|DIR)|'\
'CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|GIT_SSL_CAINFO|NODE_EXTRA_CA_CERTS|npm_config_[a-z_]+)=' |
        grep -zvE '^PIP_(FIND_LINKS|REQUIRE_VIRTUALENV|TARGET|PREFIX|USER|ROOT|CACHE_DIR)=' || true
}

# Call this in a private mount namespace (unshare --mount).
mount_kernel_folders() {
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
}
