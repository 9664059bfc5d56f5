# shellcheck shell=bash
# Images of the engine into the nodes' own stores.

# load_images IMAGE...
load_images() {
  local image
  for image in "$@"; do
    docker image inspect "$image" >/dev/null 2>&1 || die "the engine has no image $image"
  done
  for image in "$@"; do
    load_image "$image"
  done
}

# load_image IMAGE: into all nodes that do not have the very same one.
load_image() {
  local image=$1 id node missing=()
  id=$(docker image inspect --format '{{.Id}}' "$image")
  for node in "${NODES[@]}"; do
    node_has "$node" "$(full_name "$image")" "$id" || missing+=("$node")
  done
  if ((${#missing[@]} == 0)); then
    say "==> load $image: all nodes have it"
  else
    stage "load-$(tr -c 'a-zA-Z0-9.\n' - <<<"$image")" "copying $image to ${missing[*]}" copy_image "$image" "${missing[@]}"
  fi
}

# full_name IMAGE: as the nodes name it, with host, folder and tag.
full_name() {
  local name=$1
  [[ ${name##*/} == *[:@]* ]] || name+=:latest
  case $name in
    *.*/* | *:*/* | localhost/*) printf '%s' "$name" ;;
    */*) printf 'docker.io/%s' "$name" ;;
    *) printf 'docker.io/library/%s' "$name" ;;
  esac
}

# node_has NODE NAME ID: the name stands for the image of that id. The node's container runtime names
# every image by its id too: the two names then stand for the same manifest.
node_has() {
  docker exec "$1" ctr --namespace k8s.io images list |
    awk -v name="$2" -v id="$3" '$1 == name { a = $3 } $1 == id { b = $3 } END { exit !(a != "" && (a == b || a == id)) }'
}

# copy_image IMAGE NODE...: read from the engine once, given to the nodes at the same time.
copy_image() {
  # One name for all: the lock is held, and what a killed run has left is written over.
  local image=$1 archive=$STATE_DIR/load.tar node pids=() pid failed=0
  shift
  docker save "$image" >"$archive"
  for node in "$@"; do
    give_image "$node" "$image" "$archive" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || failed=1
  done
  rm -f "$archive"
  return "$failed"
}

# give_image NODE IMAGE ARCHIVE: done when the node's container runtime knows it: it learns of it a moment later.
give_image() {
  local name
  name=$(full_name "$2")
  docker exec -i "$1" ctr --namespace k8s.io images import --all-platforms - <"$3"
  # The mark of an image that the runtime has seen passes to the new image of the same name, so
  # that it would never give it a name by its id. Without the mark it looks again.
  docker exec "$1" ctr --namespace k8s.io images label "$name" io.cri-containerd.image= >/dev/null
  wait_until 20 "$1 to know the image" node_has "$1" "$name" "$(docker image inspect --format '{{.Id}}' "$2")"
}
