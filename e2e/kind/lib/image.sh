# shellcheck shell=bash
# The node image for machines without an image registry: Debian packages, kind's own node files and
# our Kubernetes binary. It keeps the contract of the official image: kind cannot tell them apart.

readonly IMAGE_DIR=$BUILD_DIR/node
# A folder with what `docker load` reads from an archive.
readonly IMAGE_ARCHIVE=$IMAGE_DIR/archive
readonly IMAGE_PACKAGES=systemd,systemd-sysv,dbus,containerd,runc,containernetworking-plugins,conntrack,iptables,nftables,iproute2,ethtool,kmod,jq,procps,socat,ca-certificates,util-linux,mount,busybox-static

image_hash() {
  hash_of "$(<"$BUILD_DIR/stamps/kube")" "$(<"$BUILD_DIR/stamps/kind")" "$(<"$BUILD_DIR/stamps/local-path")" "$IMAGE_PACKAGES" "$KUBERNETES_VERSION" \
    "$(debian_release)" "$METRICS_SERVER_VERSION" "$LOCAL_PATH_VERSION" \
    "@$SOURCE_DIR/lib/image.sh" "@$SOURCE_DIR/lib/pod-images.sh" "@$SOURCE_DIR/config/local-path.yaml"
}

debian_release() { (. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}"); }

# debian_mirror: where this machine gets its Debian packages from.
debian_mirror() {
  # The variables are apt-get's.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$(debian_release)" '$1 == "Debian" && $2 == release && $3 == "main" { print $4; exit }'
}

# ensure_archive: the node image is built, for any engine.
ensure_archive() {
  local hash
  hash=$(image_hash)
  if fresh image "$hash" "$IMAGE_ARCHIVE/manifest.json"; then
    up_to_date image
  else
    stage image "building the node image from Debian packages (two minutes, once)" build_image "$hash"
  fi
}

# ensure_image: the engine has it, under the name that image_name prints.
ensure_image() {
  ensure_archive
  if docker image inspect "$(image_name)" >/dev/null 2>&1; then
    up_to_date image-import
  else
    stage image-import "giving the node image to the engine" import_image
  fi
}

image_name() { printf 'hello-kind-node:%s' "$(<"$BUILD_DIR/stamps/image")"; }

import_image() {
  # Images of earlier inputs are of no use; one in use is kept by the engine.
  docker images --format '{{.Repository}}:{{.Tag}}' hello-kind-node | xargs -r docker rmi || true
  tar -C "$IMAGE_ARCHIVE" -c . | docker load
  docker image inspect "$(image_name)" >/dev/null
}

build_image() {
  local hash=$1
  rm -rf "$IMAGE_DIR"
  mkdir -p "$IMAGE_DIR" "$BUILD_DIR/packages"
  # The variables are those of the shell that is started.
  # shellcheck disable=SC2016
  # In namespaces of its own, so that whatever happens no mount and no process stays behind.
  unshare --mount --pid --fork --kill-child --mount-proc \
    "$BASH" -c 'set -eEuo pipefail; shopt -s inherit_errexit; SOURCE_DIR=$1
      for part in common kube tools image pod-images; do source "$SOURCE_DIR/lib/$part.sh"; done
      build_rootfs "$2"' node-image "$SOURCE_DIR" "$hash"
  stamp image "$hash"
}

# build_rootfs HASH
build_rootfs() {
  local root=$IMAGE_DIR/root mirror
  mirror=$(debian_mirror)
  [[ -n $mirror ]] || {
    echo "this machine is no Debian, or its package lists name no Debian mirror: run apt-get update"
    return 1
  }
  echo "installing Debian packages"
  debootstrap --variant=minbase --cache-dir="$BUILD_DIR/packages" --include="$IMAGE_PACKAGES" \
    "$(debian_release)" "$root" "$mirror"
  echo "placing the node's files"
  install_kind_files "$root"
  install_programs "$root"
  configure_services "$root"
  slim "$root"
  echo "placing the images of the cluster's own pods"
  import_pod_images "$root"
  echo "packing"
  write_image_archive "$root" "$1"
  rm -rf "$root"
}

# write_image_archive ROOT HASH
write_image_archive() {
  local config
  mkdir -p "$IMAGE_ARCHIVE"
  tar --numeric-owner -C "$1" -cf "$IMAGE_ARCHIVE/layer.tar" .
  # The signal that systemd stops on, and the variable by which it knows that it runs in a container.
  config=$(image_config "[\"sha256:$(sha256sum "$IMAGE_ARCHIVE/layer.tar" | cut -d' ' -f1)\"]" \
    '{Entrypoint: ["/usr/local/bin/entrypoint", "/sbin/init"], StopSignal: "SIGRTMIN+3",
      Env: ["container=docker", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}')
  printf '%s' "$config" >"$IMAGE_ARCHIVE/config.json"
  jq -nc --arg name "hello-kind-node:$2" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' \
    >"$IMAGE_ARCHIVE/manifest.json"
}

# install_kind_files ROOT: the files that kind brings for its nodes.
install_kind_files() {
  local root=$1 base
  base=$(kind_module)/images/base/files
  cp -r --no-preserve=mode,ownership "$base/etc" "$base/kind" "$base/usr" "$root/"
  chmod 755 "$root"/usr/local/bin/* "$root"/kind/bin/*
  mkdir -p "$root/kind/manifests"
  sed "s/@VERSION@/$LOCAL_PATH_VERSION/" "$SOURCE_DIR/config/local-path.yaml" >"$root/kind/manifests/default-storage.yaml"
  printf '%s' "$KUBERNETES_VERSION" >"$root/kind/version"
}

install_programs() {
  local root=$1 program
  install -m 755 "$KUBE_DIR/kube" "$root/usr/bin/kube"
  for program in kubeadm kubelet kubectl; do
    ln -s kube "$root/usr/bin/$program"
  done
  # kind's unit files expect containerd where a build from source puts it.
  for program in containerd ctr containerd-shim-runc-v2; do
    ln -s "/usr/bin/$program" "$root/usr/local/bin/$program"
  done
  mkdir -p "$root/opt/cni" "$root/etc/kubernetes/manifests"
  ln -s /usr/lib/cni "$root/opt/cni/bin"
}

configure_services() {
  local root=$1 config=$1/etc/containerd/config.toml unit
  # Containers of a machine with fewer rights than usual may not lower their chance to be killed for memory.
  sed -i '/^OOMScoreAdjust=/d' "$root/etc/systemd/system/containerd.service"
  # The host may have no systemd: control groups are made directly, also on version 2.
  sed -i -e 's/SystemdCgroup = true/SystemdCgroup = false/' -e 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$config"
  if grep -q 'SystemdCgroup = true\|restrict_oom_score_adj = false' "$config" || ! grep -q restrict_oom_score_adj "$config"; then
    echo "kind's containerd configuration has changed its form: $config"
    return 1
  fi
  chroot "$root" sh -c 'ctr oci spec' |
    jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' >"$root/etc/containerd/cri-base.json"
  # A node starts what Kubernetes needs and nothing else.
  find "$root"/lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
  rm -f "$root"/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* "$root"/etc/systemd/system/*.wants/* \
    "$root"/lib/systemd/system/sockets.target.wants/*{udev,initctl}*
  echo 'ReadKMsg=no' >>"$root/etc/systemd/journald.conf"
  for unit in kubelet containerd undo-mount-hacks; do
    chroot "$root" systemctl enable "$unit.service"
  done
  chroot "$root" systemctl mask systemd-binfmt.service
}

# slim ROOT: every node gets a copy of /var, so what is never read there costs time at each start.
slim() {
  local root=$1
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/cache/debconf/*
}
