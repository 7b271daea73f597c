#!/usr/bin/env bash
# Installs the Debian packages that the sandbox and the tests use, where it may (root and apt).
# Elsewhere it says what is missing: the tests that need it are then skipped, naming the package.
set -euo pipefail
packages=(bubblewrap util-linux ca-certificates postgresql chromium strace)
# A Node that came another way brings its npm.
command -v npm >/dev/null || packages+=(npm)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "Not installed (needs root and apt): ${missing[*]}" >&2
fi
