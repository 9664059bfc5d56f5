"""A real API server with its etcd, without nodes: both end with the process that started them. KUBEBUILDER_ASSETS has the programs."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

# How long the server may take to start, or to notice something, on a busy machine.
TIMEOUT = 120


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(what: str, check):
    """The result of a check, once it is true."""
    end = time.monotonic() + TIMEOUT
    while not (result := check()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)
    return result


class Server:
    """The server, and clients of it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hello-install-"))
        self.programs = []
        self.kubeconfig = self.folder / "kubeconfig"
        self.environment = os.environ | {"KUBECONFIG": str(self.kubeconfig), "HELM_CACHE_HOME": str(self.folder / "helm")}

    def start(self) -> None:
        """Starts the programs, and waits until the API answers."""
        token, etcd, peer, port = secrets.token_hex(16), free_port(), free_port(), free_port()
        (self.folder / "tokens").write_text(f"{token},admin,admin,system:masters\n")
        key = ["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-out", self.folder / "key"]
        subprocess.run(key, check=True, capture_output=True)
        clusters = [{"name": "test", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": clusters,
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        self.kubeconfig.write_text(json.dumps(config))
        self.kubeconfig.chmod(0o600)
        self.run(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )
        self.run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder}/certificates",
            f"--token-auth-file={self.folder}/tokens",
            f"--service-account-key-file={self.folder}/key",
            f"--service-account-signing-key-file={self.folder}/key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
        )
        eventually("the API server answers", lambda: self.ready(port))

    def ready(self, port: int) -> bool:
        """Whether the API answers; an error when one of the programs has ended."""
        for name, program in self.programs:
            if program.poll() is not None:
                raise RuntimeError(f"{name} has ended: {(self.folder / f'{name}.log').read_text()[-2000:]}")
        done = subprocess.run([os.environ["KUBECTL"], "get", "--raw", "/readyz"], env=self.environment, capture_output=True, check=False)
        return done.returncode == 0 and port > 0

    def run(self, name: str, *arguments: str) -> None:
        """Starts a program that is killed when this process ends."""
        with open(self.folder / f"{name}.log", "w", encoding="utf-8") as log:
            program = f"{os.environ['KUBEBUILDER_ASSETS']}/{name}"
            command = ["setpriv", "--pdeathsig", "KILL", program, *arguments]
            self.programs.append((name, subprocess.Popen(command, stdout=log, stderr=log)))

    def stop(self) -> None:
        """Ends the programs and removes their files."""
        for _, program in reversed(self.programs):
            program.kill()
            program.wait()
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)

    def client(self, program: str, *arguments: str, given: str | None = None) -> str:
        """What kubectl or helm prints; an error when it fails."""
        command = [os.environ[program], *arguments]
        done = subprocess.run(command, env=self.environment, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl prints."""
        return self.client("KUBECTL", *arguments, given=given)

    def helm(self, *arguments: str) -> str:
        """What helm prints."""
        return self.client("HELM", *arguments)

    def get(self, *arguments: str) -> dict:
        """An object, or a list, or nothing."""
        text = self.kubectl("get", *arguments, "--ignore-not-found", "--output=json")
        return json.loads(text) if text else {}
