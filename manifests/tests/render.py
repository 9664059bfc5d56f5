"""What the kustomizations and the chart lead to. HELM and KUBECTL name the programs."""

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "manifests/charts/hello-operator"
# Parsing the definitions of the custom resources takes a second, without the library in C ten.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """A program refused its input, and said why."""


def run(*command: str) -> str:
    """The output of a program."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def objects(text: str) -> list[dict]:
    """The objects of a file."""
    return [item for item in yaml.load_all(text, LOADER) if item]


def choices() -> list[dict]:
    """The table choices.yaml."""
    return yaml.safe_load((ROOT / "manifests/tests/choices.yaml").read_text())


@cache
def kustomization(folder: str) -> list[dict]:
    """The objects of a folder."""
    return objects(run(os.environ["KUBECTL"], "kustomize", folder))


def kustomized(choice: dict) -> list[dict]:
    """The objects of a choice, by an overlay as a user would write it."""
    resource = choice.get("resource", "manifests/base")
    if "components" not in choice:
        return kustomization(str(ROOT / resource))
    with tempfile.TemporaryDirectory() as folder:
        up = os.path.relpath(ROOT, Path(folder).resolve())
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{up}/{resource}"],
            "components": [f"{up}/manifests/components/{name}" for name in choice["components"]],
        }
        Path(folder, "kustomization.yaml").write_text(json.dumps(overlay))
        return kustomization(folder)


def chart(values: dict, release: str = "hello-operator", namespace: str = "hello-system") -> list[dict]:
    """The objects of the chart, those of its test included."""
    return templated(json.dumps(values), release, namespace)


@cache
def templated(values: str, release: str, namespace: str) -> list[dict]:
    """Likewise, for values as JSON."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(values)
        file.flush()
        command = [os.environ["HELM"], "template", release, str(CHART), "--namespace", namespace, "--values", file.name]
        return objects(run(*command))


def identity(item: dict) -> tuple[str, str, str, str]:
    """What distinguishes objects of a cluster."""
    metadata = item["metadata"]
    return item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"]


def is_hook(item: dict) -> bool:
    """Whether Helm makes it only for a test."""
    return "helm.sh/hook" in item["metadata"].get("annotations", {})


def sources() -> dict[str, list[dict]]:
    """All that is rendered or written by hand: samples, what the operator makes of a service, and both ways of installation."""
    files = [*(ROOT / "manifests/samples").glob("*.yaml"), *(ROOT / "operator/tests/golden").glob("*.objects.yaml")]
    found = {str(path.relative_to(ROOT)): objects(path.read_text()) for path in sorted(files)}
    for choice in choices():
        found[f"kustomization {choice['name']}"] = kustomized(choice)
        found[f"chart {choice['name']}"] = chart(choice.get("values", {}))
    return found
