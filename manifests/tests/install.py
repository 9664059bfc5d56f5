"""The chart on a real API server: installed, upgraded, removed, installed again, and in place of the kustomization."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

from render import CHART, ROOT, chart, choices, identity, is_hook, objects
from schemas import OTHERS, module
from server import Server, eventually

SERVER = Server()
DEFINITION = "customresourcedefinition/helloservices.hello.internal"
SERVICE = {"apiVersion": "hello.internal/v1alpha1", "kind": "HelloService", "metadata": {"name": "kept", "namespace": "default"}, "spec": {}}


def setUpModule():
    """One server for all tests: it takes seconds to start."""
    unittest.addModuleCleanup(SERVER.stop)
    SERVER.start()
    # What the Prometheus Operator would bring.
    for name, path in OTHERS:
        if "monitoring" in path:
            SERVER.kubectl("create", "--filename", f"{module(name)}/{path}")


def install(*arguments: str, release: str = "hello-operator", namespace: str = "hello-system", folder: Path = CHART) -> None:
    """Installs or upgrades. Nothing runs here, so nothing can be waited for but the API."""
    SERVER.helm("upgrade", "--install", release, str(folder), "--namespace", namespace, "--create-namespace", *arguments)
    eventually("the resources are served", lambda: "helloservices" in SERVER.kubectl("api-resources", "--api-group=hello.internal"))


def uninstall(release: str = "hello-operator", namespace: str = "hello-system") -> None:
    """Removes a release."""
    SERVER.helm("uninstall", release, "--namespace", namespace)


def present(item: dict) -> bool:
    """Whether an object of the chart is on the server."""
    api, kind, namespace, name = identity(item)
    group = api.rsplit("/", 1)[0] if "/" in api else ""
    where = ["--namespace", namespace] if namespace else []
    return bool(SERVER.get(f"{kind}.{group}" if group else kind, name, *where))


def marks(*what: str) -> tuple[str, int]:
    """What distinguishes a new object, and a new content, from the former one."""
    metadata = SERVER.get(*what)["metadata"]
    return metadata["uid"], metadata.get("generation", 0)


class Install(unittest.TestCase):
    """The life of an installation."""

    def tearDown(self):
        for release in json.loads(SERVER.helm("list", "--all-namespaces", "--output", "json")):
            uninstall(release["name"], release["namespace"])
        SERVER.kubectl("delete", "--ignore-not-found", DEFINITION)
        eventually("the definition is gone", lambda: not SERVER.get(DEFINITION))

    def test_every_choice_is_accepted(self):
        for choice in choices():
            values = choice.get("values", {})
            with self.subTest(choice["name"]), tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(values, file)
                file.flush()
                install("--reset-values", "--values", file.name)
                missing = [identity(item) for item in chart(values) if not is_hook(item) and not present(item)]
                self.assertEqual(missing, [])

    def test_an_uninstall_keeps_services_and_the_next_installation_takes_them_over(self):
        install()
        SERVER.kubectl("create", "--filename=-", given=json.dumps(SERVICE))
        before = marks("helloservice", "kept"), marks(DEFINITION)
        uninstall()
        left = [identity(item)[1] for item in chart({}) if not is_hook(item) and present(item)]
        self.assertEqual(set(left), {"CustomResourceDefinition"})
        self.assertEqual((marks("helloservice", "kept"), marks(DEFINITION)), before)
        install()
        self.assertEqual((marks("helloservice", "kept"), marks(DEFINITION)), before)

    def test_an_upgrade_also_upgrades_definitions_and_a_rollback_goes_back(self):
        install()
        SERVER.kubectl("create", "--filename=-", given=json.dumps(SERVICE))
        before = marks("helloservice", "kept")
        with tempfile.TemporaryDirectory() as folder:
            newer = Path(folder, "chart")
            shutil.copytree(CHART, newer)
            path = newer / "files/crds/helloservices.yaml"
            text = path.read_text()
            self.assertIn("name: Backup\n", text)
            path.write_text(text.replace("name: Backup\n", "name: Proved\n", 1))
            install("--set=replicas=2", folder=newer)

        def columns() -> set[str]:
            (version,) = SERVER.get(DEFINITION)["spec"]["versions"]
            return {column["name"] for column in version["additionalPrinterColumns"]}

        deployment = ["deployment", "hello-operator", "--namespace=hello-system"]
        self.assertIn("Proved", columns())
        self.assertEqual(SERVER.get(*deployment)["spec"]["replicas"], 2)
        SERVER.helm("rollback", "hello-operator", "1", "--namespace=hello-system")
        self.assertIn("Backup", columns())
        self.assertEqual(SERVER.get(*deployment)["spec"]["replicas"], 1)
        self.assertEqual(marks("helloservice", "kept"), before)

    def test_it_takes_over_what_kubectl_has_applied_without_a_restart(self):
        SERVER.kubectl("apply", "--server-side", "--kustomize", str(ROOT / "manifests/base"))
        eventually("the resources are served", lambda: "helloservices" in SERVER.kubectl("api-resources", "--api-group=hello.internal"))
        SERVER.kubectl("create", "--filename=-", given=json.dumps(SERVICE))

        def state() -> tuple:
            deployment = SERVER.get("deployment", "hello-operator", "--namespace=hello-system")
            # Helm's annotations count as a generation of a Deployment. Its pods stay as long as their template does.
            return deployment["metadata"]["uid"], deployment["spec"], marks("helloservice", "kept"), marks(DEFINITION)

        before = state()
        with self.assertRaisesRegex(RuntimeError, "cannot be imported into the current release"):
            install()
        install("--take-ownership", "--force-conflicts")
        self.assertEqual(state(), before)
        # kubectl keeps its share.
        with self.assertRaisesRegex(RuntimeError, 'conflict with "kubectl"'):
            install("--set=replicas=2")
        install("--set=replicas=2", "--force-conflicts")

    def test_operators_of_several_namespaces_live_beside_each_other(self):
        install("--set=watchNamespace=default,admissionPolicy=true")
        with self.assertRaisesRegex(RuntimeError, "cannot be imported into the current release"):
            install("--set=watchNamespace=kube-public", release="second", namespace="hello-second")
        install("--set=watchNamespace=kube-public,admissionPolicy=true,crds=false,userRoles=false", release="second", namespace="hello-second")
        uninstall("second", "hello-second")
        missing = [identity(item) for item in chart({"watchNamespace": "default", "admissionPolicy": True}) if not is_hook(item) and not present(item)]
        self.assertEqual(missing, [])

    def test_what_the_test_makes_is_accepted(self):
        install()
        hooks = [item for item in chart({}) if is_hook(item)]
        self.assertEqual(len(hooks), 2)
        SERVER.kubectl("label", "namespace", "hello-system", "pod-security.kubernetes.io/enforce=restricted")
        for item in hooks:
            SERVER.kubectl("create", "--dry-run=server", "--filename=-", given=json.dumps(item))

    def test_the_notes_have_a_service_that_is_accepted(self):
        install()
        notes = SERVER.helm("get", "notes", "hello-operator", "--namespace=hello-system")
        shown = notes[notes.index("  apiVersion: hello.internal") : notes.index("  EOF")]
        (service,) = objects("\n".join(line[2:] for line in shown.splitlines()))
        SERVER.kubectl("create", "--dry-run=server", "--namespace=default", "--filename=-", given=json.dumps(service))


if __name__ == "__main__":
    unittest.main()
