"""Every rendered object has the form that Kubernetes, or the definition of its custom resource, asks for; unknown fields are errors."""

import copy
import json
import os
import subprocess
import unittest
from functools import cache
from pathlib import Path

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils
from render import ROOT, objects, sources

# The newest minors of Kubernetes that the pinned package knows; the chart asks for 1.33 or later.
MINORS = 3
DEFINITIONS = ROOT / "operator/tests/definitions"
# Where other projects define their custom resources.
OTHERS = (
    ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
    ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
    ("github.com/cloudnative-pg/cloudnative-pg", "config/crd/bases/postgresql.cnpg.io_clusters.yaml"),
    ("sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
)

# The package reads a file of megabytes again for each object.
utils.schema_contents = cache(utils.schema_contents)


def newest() -> list[str]:
    """The minors that objects are checked for."""
    return [utils.major_minor(version) for version in utils.all_versions()[-MINORS:]]


def rendered() -> dict[str, dict]:
    """All objects, each once, by what they are and where they come from."""
    found = {}
    for source, items in sources().items():
        for item in items:
            found.setdefault(json.dumps(item, sort_keys=True), (f"{source}: {item['kind']} {item['metadata']['name']}", item))
    return dict(found.values())


@cache
def module(name: str) -> str:
    """The folder of a Go module that go.sum pins."""
    sums = (DEFINITIONS / "go.sum").read_text().splitlines()
    (version,) = [words[1] for words in map(str.split, sums) if words[0] == name and not words[1].endswith("/go.mod")]
    command = ["go", "mod", "download", "-json", f"{name}@{version}"]
    done = subprocess.run(command, cwd=DEFINITIONS, env=os.environ | {"GOFLAGS": "-mod=mod"}, capture_output=True, check=True)
    return json.loads(done.stdout)["Dir"]


def strict(schema: dict) -> dict:
    """A schema of a custom resource as JSON Schema, which refuses fields that are not in it."""
    schema = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "format"} | {
        key: strict(schema[key]) for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)
    }
    if "properties" in schema:
        schema["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        schema.setdefault("additionalProperties", False)
    return {"anyOf": [schema, {"type": "null"}]} if schema.get("nullable") else schema


@cache
def custom() -> dict[tuple[str, str], dict]:
    """Schemas of the custom resources, by version and kind."""
    files = [path for path in (ROOT / "crds").glob("*.yaml") if path.name != "kustomization.yaml"]
    files += [Path(module(name), path) for name, path in OTHERS]
    found = {}
    for definition in (item for path in files for item in objects(path.read_text())):
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
            schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = strict(schema)
    return found


def check(item: dict, minor: str) -> None:
    """Fails when an object has not the form that this minor of Kubernetes asks for."""
    schema = custom().get((item["apiVersion"], item["kind"]))
    if schema is None:
        kubernetes_validate.validate(item, minor, strict=True)
    else:
        jsonschema.Draft202012Validator(schema).validate(item)


class Schemas(unittest.TestCase):
    """The rendered objects."""

    def test_every_object_has_the_form_that_is_asked_for(self):
        for name, item in rendered().items():
            for minor in newest():
                with self.subTest(f"{name}, Kubernetes {minor}"):
                    check(item, minor)

    def test_a_wrong_field_is_noticed(self):
        items = {item["kind"]: item for item in rendered().values()}
        wrong = (
            ("Deployment", ("spec", "template", "spec"), "serviceAcountName"),
            ("PodDisruptionBudget", ("spec",), "maxUnavailble"),
            ("HelloService", ("spec",), "replica"),
            ("ServiceMonitor", ("spec", "endpoints", 0), "prot"),
            ("PrometheusRule", ("spec", "groups", 0, "rules", 0), "exp"),
        )
        for kind, path, field in wrong:
            item = copy.deepcopy(items[kind])
            place = item
            for step in path:
                place = place[step]
            place[field] = "x"
            with self.subTest(kind), self.assertRaises(jsonschema.ValidationError):
                check(item, newest()[0])

    def test_the_form_of_each_kind_is_known(self):
        self.assertEqual(len(newest()), MINORS)
        with self.assertRaises(kubernetes_validate.SchemaNotFoundError):
            check({"apiVersion": "v1", "kind": "Surprise"}, newest()[0])


if __name__ == "__main__":
    unittest.main()
