"""The programs that are measured, and how they are built and started."""

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from .machine import run
from .postgres import ROOT

TARGET = "x86_64-unknown-linux-musl"
API, ADMIN = "127.0.0.1:18480", "127.0.0.1:18490"


def build(program=True, examples=True):
    """Makes release builds, for the target that the image has, and returns the folder of the programs."""
    cache = os.environ.get("HELLO_CACHE") or f"{os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/hello"
    target = os.environ.get("CARGO_TARGET_DIR") or f"{cache}/target"
    # As for the images, whose build this shares; the examples bring the features of the tests, and would change the program's.
    wanted = [["-p", "hello-app", "-p", "hello-operator"]] if program else []
    if examples:
        wanted.append(["-p", "hello-app", "--example", "sqlx-pool", "--example", "open-loop", "--example", "far"])
    for what in wanted:
        subprocess.run(["cargo", "build", "--release", "--locked", "--target", TARGET, *what],
                       check=True, cwd=ROOT, env={**os.environ, "CARGO_TARGET_DIR": target})
    return Path(f"{target}/{TARGET}/release")


def certificate(folder):
    """A certificate of 127.0.0.1 and its key."""
    paths = folder / "tls.crt", folder / "tls.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1", "-out", paths[0], "-keyout", paths[1])
    return paths


class Program:
    """A program that is running and answers."""

    def __init__(self, command, environment, log, probe):
        self.process = subprocess.Popen(command, env=environment, stderr=log)
        begin = time.monotonic()
        while not probe():
            if self.process.poll() is not None:
                sys.exit(f"bench: {command[0]} ended by itself")
            time.sleep(0.002)
        self.ready_ms = (time.monotonic() - begin) * 1000

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def app(binary, url, log, tls=None):
    """The app; `tls` is its certificate and key."""
    environment = {"DATABASE_URL": url, "HELLO_LISTEN": API, "HELLO_ADMIN_LISTEN": ADMIN, "HELLO_LOG_FORMAT": "json"}
    if tls:
        environment |= {"HELLO_TLS_CERTIFICATE_FILE": str(tls[0]), "HELLO_TLS_KEY_FILE": str(tls[1])}
    return Program([binary, "serve"], environment, log, lambda: answers(f"http://{ADMIN}/readyz"))


def pool(binary, url, log):
    """The same greeting through sqlx's pool as it comes."""
    return Program([binary, url, API], {}, log, lambda: answers(f"http://{API}/hello/nobody", 404))


def far(binary, port, to, log):
    """A way to the database that takes half a millisecond in each direction."""
    process = subprocess.Popen([binary, f"127.0.0.1:{port}", f"127.0.0.1:{to}", "500"], stderr=log)
    time.sleep(0.2)
    return process


def answers(url, status=200):
    try:
        return urllib.request.urlopen(url, timeout=1, context=ssl._create_unverified_context()).status == status
    except urllib.error.HTTPError as error:
        return error.code == status
    except OSError:
        return False
