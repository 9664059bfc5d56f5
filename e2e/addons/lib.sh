# shellcheck shell=bash
# shellcheck disable=SC2154 # HERE is the folder of the script that sources this file.
# What add-ons have in common. An add-on is something on the cluster that a single scenario needs: built from the Go module
# that its folder pins, packed into an image, and loaded into the nodes, unless those pull their images themselves.

# shellcheck source=e2e/kind/lib/common.sh
source "${BASH_SOURCE[0]%/*}/../kind/lib/common.sh"

readonly CLUSTER_SCRIPT=${BASH_SOURCE[0]%/*}/../kind/cluster
# shellcheck disable=SC2034 # for the add-ons
readonly PREREQUISITES=${BASH_SOURCE[0]%/*}/../tools/prerequisites
# On all that an add-on installs, to distinguish it from what a person has installed.
readonly LABEL=hello.internal/e2e=true

go_here() { (cd "$HERE" && GOFLAGS='' CGO_ENABLED=0 go "$@"); }

# pulls: whether the nodes get their images from a registry, as decided when they were made.
pulls() { "$CLUSTER_SCRIPT" registry 2>/dev/null; }

# build_program STAMP HASH PACKAGE OUTPUT
build_program() {
  mkdir -p "${4%/*}"
  go_here build -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' -o "$4.new" "$3"
  mv "$4.new" "$4"
  stamp "$1" "$2"
}

# ensure_program STAMP PACKAGE OUTPUT [DURATION]: the program of a Go package, compiled when something has changed.
ensure_program() {
  local hash source sources=()
  for source in "$HERE"/go.* "$HERE"/*.go; do
    [[ ! -f $source ]] || sources+=("@$source")
  done
  hash=$(hash_of "$(go env GOVERSION GOOS GOARCH)" "$2" "${sources[@]}")
  if fresh "$1" "$hash" "$3"; then
    up_to_date "$1"
  else
    stage "$1" "compiling $2 from Go modules (${4:-a minute or two}, once)" build_program "$1" "$hash" "$2" "$3"
  fi
}

# has_source IMAGE SOURCE: the container engine has it, made of these inputs.
has_source() {
  [[ $(docker image inspect --format '{{index .Config.Labels "internal.hello.source"}}' "$1" 2>/dev/null) == "$2" ]]
}

# build_image IMAGE SOURCE FOLDER PREPARE: PREPARE fills the context folder, FOLDER has the Dockerfile.
build_image() {
  local image=$1 source=$2 folder=$3 prepare=$4 context
  context=$(mktemp -d)
  "$prepare" "$context"
  # The classic builder: it needs no image of its own.
  DOCKER_BUILDKIT=0 docker build --tag "$image" --file "$folder/Dockerfile" --build-arg SOURCE="$source" "$context"
  rm -rf "$context"
  # The image that had the tag before.
  docker image prune --force --filter label=internal.hello.source
}

# ensure_image IMAGE SOURCE FOLDER PREPARE
ensure_image() {
  if has_source "$1" "$2"; then
    up_to_date "$1"
  else
    stage "$(basename "$3")-image" "building $1" build_image "$@"
  fi
}

# program_files PROGRAM CONTEXT: root.tar with the program, for an image that has nothing else.
program_files() {
  install -D -m 755 "$1" "$2/root/program"
  tar --numeric-owner --owner=0 --group=0 -C "$2/root" -cf "$2/root.tar" .
  rm -rf "$2/root"
}

# apply_labelled: apply the manifest on standard input, marked as ours.
apply_labelled() {
  kubectl label --local --filename - --output json "$LABEL" | kubectl apply --server-side --filename -
}

# delete_all: delete what is in the manifest on standard input, and wait until it is gone.
delete_all() { kubectl delete --ignore-not-found --wait --timeout 60s --filename -; }

# addon_main COMMAND: what every add-on's script does, by its functions build, prepare, install_addon, remove_addon and left_over.
addon_main() {
  case ${1:-} in
    build) build ;;
    prepare) prepare ;;
    install) install_addon ;;
    remove) remove_addon ;;
    leftover) left_over ;;
    *)
      sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
}
