# shellcheck shell=bash
# What the scripts of a release share. The one that sources this has set `-Eeuo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root
# The programs, each with an image.
# shellcheck disable=SC2034 # Scripts that source this read it.
readonly PROGRAMS=(hello-app hello-operator)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${HELLO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hello}/target}

say() { printf 'release: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

workspace_version() { sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml"; }

# changelog VERSION: what the changelog lists for it.
changelog() { awk -v version="$1" '/^## / { inside = ($2 == version) } inside && !/^## /' "$root/CHANGELOG.md"; }

# As Go, and with it container images, call this machine.
architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) die "no images are made on $(uname -m)" ;;
  esac
}
