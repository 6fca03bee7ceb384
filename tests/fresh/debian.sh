# Debian systems made by debootstrap, for tests/fresh and tests/arm64: sourced, not run. This machine's way to the
# network holds inside too: name servers, apt's mirror and proxy, pip's settings, certificates.
#
# Base systems are kept for a week in ${XDG_CACHE_HOME:-~/.cache}/hailo-services/fresh.
# Who sources it has $suite, $work (a folder of its own), $root (where the system goes) and $mirror and $security
# (find_mirrors), and has defined say and fail.

# The first Debian mirror that apt knows here; nothing where there is none.
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

# A minimal system in $root, which is not there yet.
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

# In a mount namespace of one's own (unshare --mount).
mount_kernel_folders() {
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
}
