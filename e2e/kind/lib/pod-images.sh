# shellcheck shell=bash
# The images of the pods that make up the cluster itself, placed in the node image beforehand.
#
# All of them share layers, so that each node holds the Kubernetes binary only once.

readonly PAUSE_IMAGE=registry.k8s.io/pause

# pod_images: lines "LAYERS NAME ENTRYPOINT...".
pod_images() {
  local image entrypoint
  "$KUBE_DIR/kubeadm" config images list --kubernetes-version "$KUBERNETES_VERSION" | while IFS= read -r image; do
    entrypoint=${image##*/}
    [[ $image == "$PAUSE_IMAGE":* ]] || printf 'tools,kube %s /usr/local/bin/%s\n' "$image" "${entrypoint%%:*}"
    [[ $image != "$PAUSE_IMAGE":* ]] || printf 'pause %s /pause\n' "$image"
  done
  # The tag that the node's containerd uses for a pod's first process.
  sed -n 's/^ *sandbox_image = "\(.*\)"/pause \1 \/pause/p' "$(kind_module)/images/base/files/etc/containerd/config.toml"
  printf 'tools,kube registry.k8s.io/metrics-server/metrics-server:%s /usr/local/bin/metrics-server\n' "$METRICS_SERVER_VERSION"
  printf 'tools,local-path docker.io/rancher/local-path-provisioner:%s /usr/local/bin/local-path-provisioner\n' "$LOCAL_PATH_VERSION"
  printf 'tools docker.io/library/busybox:1.35.0 /bin/sh\n'
}

# import_pod_images ROOT: put them into the containerd of the node image.
import_pod_images() {
  local root=$1 work=$IMAGE_DIR/pods socket=$IMAGE_DIR/pods/containerd.sock containerd
  mkdir -p "$work/archive"
  layer_tools "$root" "$work/tools"
  layer_kube "$work/kube"
  layer_local_path "$work/local-path"
  install -D -m 755 "$KUBE_DIR/pause" "$work/pause/pause"
  write_archive "$work"
  printf 'version = 2\noom_score = 0\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' >"$work/containerd.toml"
  containerd --config "$work/containerd.toml" --root "$root/var/lib/containerd" --state "$work/state" --address "$socket" &
  containerd=$!
  wait_until 20 "containerd" test -S "$socket"
  tar -C "$work/archive" -c . |
    ctr --address "$socket" --namespace k8s.io images import -
  ctr --address "$socket" --namespace k8s.io images list -q
  kill "$containerd"
  wait "$containerd" || true
  rm -rf "$work"
}

# layer_tools ROOT TARGET: a shell, and what kube-proxy calls, taken with its libraries from the node's packages.
layer_tools() {
  local root=$1 target=$2 file applet
  mkdir -p "$target"/{bin,sbin,tmp,run,etc,proc,sys,dev,usr/sbin,usr/bin,usr/local/bin,var/run,root}
  chmod 1777 "$target/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$target/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$target/etc/group"
  mkdir -p "$target/etc/ssl/certs"
  cp "$root/etc/ssl/certs/ca-certificates.crt" "$target/etc/ssl/certs/"
  cp "$root/bin/busybox" "$target/bin/busybox"
  for applet in sh mkdir rm ls cat chmod chown sleep true false echo test env wget nslookup nc ps; do
    ln -s busybox "$target/bin/$applet"
  done
  copy_program "$root" "$target" /usr/sbin/xtables-nft-multi
  copy_program "$root" "$target" /usr/sbin/conntrack
  copy_program "$root" "$target" /bin/kmod
  ln -s ../../bin/kmod "$target/usr/sbin/modprobe"
  for file in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -s xtables-nft-multi "$target/usr/sbin/$file"
  done
  for file in "$root"/usr/lib/*/xtables/*.so; do
    copy_program "$root" "$target" "${file#"$root"}"
  done
}

# copy_program ROOT TARGET PATH: the program and the libraries that it loads.
copy_program() {
  local root=$1 target=$2 path=$3 library
  install -D -m 755 "$root$path" "$target$path"
  chroot "$root" ldd "$path" | grep -o '/[^ ]*' | while IFS= read -r library; do
    install -D -m 755 "$root$library" "$target$library"
  done
}

layer_kube() {
  local target=$1 program
  install -D -m 755 "$KUBE_DIR/kube" "$target/usr/local/bin/kube"
  for program in "${KUBE_PROGRAMS[@]}"; do
    ln -s kube "$target/usr/local/bin/$program"
  done
}

layer_local_path() {
  install -D -m 755 "$BIN_DIR/local-path-provisioner" "$1/usr/local/bin/local-path-provisioner"
}

# image_config LAYERS CONFIG: an image's description; the layers' digests, and a jq object with how it is run.
image_config() {
  jq -nc --arg architecture "$(go env GOARCH)" --argjson layers "$1" \
    "{architecture: \$architecture, os: \"linux\", created: \"1970-01-01T00:00:00Z\", config: $2,
      rootfs: {type: \"layers\", diff_ids: \$layers}}"
}

# write_archive WORK: the layers and images as one archive of the form that `docker save` writes.
write_archive() {
  local work=$1 archive=$1/archive layer layers name entrypoint config id manifest='[]'
  for layer in tools kube local-path pause; do
    tar --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -C "$work/$layer" -cf "$work/$layer.tar" .
    printf '"sha256:%s"' "$(sha256sum "$work/$layer.tar" | cut -d' ' -f1)" >"$work/$layer.id"
    # Kept beside the unpacked files: small is what counts.
    gzip -1 <"$work/$layer.tar" >"$archive/$layer.tar.gz"
  done
  while read -r layers name entrypoint; do
    read -ra layers <<<"${layers//,/ }"
    config=$(image_config "[$(for layer in "${layers[@]}"; do cat "$work/$layer.id"; done | sed 's/""/","/g')]" \
      "{Entrypoint: [\"$entrypoint\"], Env: [\"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"]}")
    id=$(printf '%s' "$config" | sha256sum | cut -d' ' -f1)
    printf '%s' "$config" >"$archive/$id.json"
    manifest=$(jq -c --arg config "$id.json" --arg name "$name" \
      '. + [{Config: $config, RepoTags: [$name], Layers: $ARGS.positional}]' --args "${layers[@]/%/.tar.gz}" <<<"$manifest")
  done < <(pod_images)
  printf '%s' "$manifest" >"$archive/manifest.json"
}
