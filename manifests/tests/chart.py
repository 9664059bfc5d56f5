"""Tests of the Helm chart, without a cluster: its objects are those of the kustomizations, and values do what they say."""

import copy
import subprocess
import unittest

from render import CHART, ROOT, Refused, chart, choices, identity, is_hook, kustomized, objects

KEEP = "helm.sh/resource-policy"


def installed(values: dict, **where: str) -> dict:
    """The objects that an installation makes."""
    return {identity(item): item for item in chart(values, **where) if not is_hook(item)}


def one(values: dict, kind: str, **where: str) -> dict:
    """The only object of a kind, which is no definition: those are large."""
    (found,) = [item for key, item in installed({"crds": False} | values, **where).items() if key[1] == kind]
    return found


def environment(values: dict) -> dict:
    """The operator's environment variables that have a plain value."""
    (container,) = one(values, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def comparable(item: dict) -> dict:
    """An object without what differs by intent: variables have no order, and only the chart has to keep definitions."""
    item = copy.deepcopy(item)
    if item["kind"] == "Deployment":
        for container in item["spec"]["template"]["spec"]["containers"]:
            container["env"].sort(key=lambda entry: entry["name"])
    if item["kind"] == "CustomResourceDefinition":
        item["metadata"].pop("annotations", None)
    return item


class Objects(unittest.TestCase):
    """The chart against the kustomizations."""

    maxDiff = None

    def test_same_choices_lead_to_the_same_objects(self):
        for choice in choices():
            with self.subTest(choice["name"]):
                wanted = {identity(item): item for item in kustomized(choice)}
                # Helm makes the namespace, and it does not take labels.
                wanted.pop(("v1", "Namespace", "", "hello-system"))
                found = installed(choice.get("values", {}))
                self.assertEqual(sorted(found), sorted(wanted))
                for key, item in wanted.items():
                    self.assertEqual(comparable(found[key]), comparable(item), key)

    def test_every_definition_is_there_and_kept(self):
        files = [path for path in (ROOT / "crds").glob("*.yaml") if path.name != "kustomization.yaml"]
        names = {item["metadata"]["name"] for path in files for item in objects(path.read_text())}
        found = {
            key[3]: item["metadata"]["annotations"][KEEP] for key, item in installed({}).items() if key[1] == "CustomResourceDefinition"
        }
        self.assertEqual(found, dict.fromkeys(names, "keep"))

    def test_nothing_else_is_kept_at_an_uninstall(self):
        kept = [key for key, item in installed(choices()[-1]["values"]).items() if KEEP in item["metadata"].get("annotations", {})]
        self.assertEqual({key[1] for key in kept}, {"CustomResourceDefinition"})

    def test_a_release_fits_into_its_secret(self):
        # Helm stores chart and objects in one Secret, which may have a mebibyte.
        packed = subprocess.run(["tar", "--create", "--gzip", "--directory", CHART, "."], capture_output=True, check=True).stdout
        self.assertLess(len(packed) * 2 * 4 / 3, 500_000)


class Names(unittest.TestCase):
    """Several releases beside each other."""

    def test_releases_in_namespaces_of_their_own_share_no_object(self):
        values = {"crds": False, "userRoles": False, **{key: value for key, value in choices()[-1]["values"].items() if key != "watchNamespace"}}
        first = installed({"watchNamespace": "team-a", **values}, release="team-a", namespace="hello-a")
        second = installed({"watchNamespace": "team-b", **values}, release="team-b", namespace="hello-b")
        self.assertEqual(set(first) & set(second), set())
        self.assertEqual(len(first), len(second))

    def test_everything_refers_to_the_names_of_its_release(self):
        found = installed({"crds": False} | choices()[-1]["values"], release="team-a", namespace="hello-a")
        text = repr(found)
        self.assertNotIn("hello-system", text)
        roles = {key[3] for key in found if key[1] in ("ClusterRole", "Role")}
        for key, item in found.items():
            if key[1].endswith("RoleBinding"):
                self.assertIn(item["roleRef"]["name"], roles)
                (subject,) = item["subjects"]
                self.assertIn(("v1", "ServiceAccount", subject["namespace"], subject["name"]), found)
        policy = next(item for key, item in found.items() if key[1] == "ValidatingAdmissionPolicy")
        binding = next(item for key, item in found.items() if key[1] == "ValidatingAdmissionPolicyBinding")
        self.assertEqual(binding["spec"]["policyName"], policy["metadata"]["name"])
        (condition,) = policy["spec"]["matchConditions"]
        self.assertIn("'system:serviceaccount:hello-a:team-a-hello-operator'", condition["expression"])

    def test_the_lease_keeps_its_name(self):
        lease = [
            rule["resourceNames"] for rule in one({}, "Role", release="team-a", namespace="hello-a")["rules"] if "resourceNames" in rule
        ]
        self.assertEqual(lease, [["hello-operator"]])

    def test_the_longest_name_leaves_room_for_the_test(self):
        for values in ({"fullnameOverride": "x" * 35}, {}):
            service = next(item for item in chart({"crds": False} | values, release="r" * 53) if item["kind"] == "HelloService")
            self.assertLessEqual(len(service["metadata"]["name"]), 40)


class Values(unittest.TestCase):
    """What values lead to."""

    def test_images(self):
        image = {"repository": "registry.example.com/op", "tag": "1", "digest": f"sha256:{'0' * 64}"}
        deployment = one({"image": image, "imagePullSecrets": [{"name": "registry"}]}, "Deployment")
        pod = deployment["spec"]["template"]["spec"]
        self.assertEqual(pod["containers"][0]["image"], f"registry.example.com/op:1@sha256:{'0' * 64}")
        self.assertEqual(pod["imagePullSecrets"], [{"name": "registry"}])
        self.assertEqual(environment({"appImage": "registry.example.com/app:2"})["HELLO_APP_IMAGE"], "registry.example.com/app:2")

    def test_limits(self):
        limits = {"imagePrefixes": ["a.example", "b.example/c"], "hosts": ["*.example.com"], "ingressAnnotations": ["a/*"], "serviceAnnotations": ["b"]}
        found = environment({"limits": limits})
        self.assertEqual(found["HELLO_ALLOW_IMAGE_PREFIX"], "a.example,b.example/c")
        self.assertEqual(found["HELLO_ALLOW_HOST"], "*.example.com")
        self.assertEqual(found["HELLO_ALLOW_INGRESS_ANNOTATION"], "a/*")
        self.assertEqual(found["HELLO_ALLOW_SERVICE_ANNOTATION"], "b")

    def test_what_concerns_pods_reaches_them(self):
        values = {
            "podLabels": {"team": "a", "app.kubernetes.io/component": "other"},
            "podAnnotations": {"note": "1"},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "k"}],
            "affinity": {"podAffinity": {}},
            "priorityClassName": "high",
        }
        deployment = one(values, "Deployment")["spec"]
        labels = deployment["template"]["metadata"]["labels"]
        # What selects the pods cannot be replaced.
        self.assertEqual(labels, deployment["selector"]["matchLabels"] | {"app.kubernetes.io/part-of": "hello", "team": "a"})
        self.assertEqual(deployment["template"]["metadata"]["annotations"]["note"], "1")
        pod = deployment["template"]["spec"]
        self.assertEqual({name: pod[name] for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName")}, {
            "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "k"}], "affinity": {"podAffinity": {}}, "priorityClassName": "high",
        })

    def test_monitors_get_the_labels_that_prometheus_selects_by(self):
        labels = {"release": "prometheus"}
        values = {"metrics": {"serviceMonitor": {"enabled": True, "labels": labels}, "alerts": {"enabled": True, "labels": labels}}}
        for kind in ("ServiceMonitor", "PrometheusRule"):
            self.assertEqual(one(values, kind)["metadata"]["labels"]["release"], "prometheus")

    def test_parts_can_be_left_out(self):
        left = {key[1] for key in installed({"crds": False, "userRoles": False, "networkPolicy": False})}
        self.assertEqual(left & {"CustomResourceDefinition", "NetworkPolicy"}, set())
        self.assertNotIn(("rbac.authorization.k8s.io/v1", "ClusterRole", "", "hello-viewer"), installed({"userRoles": False}))

    def test_values_that_do_not_exist_or_mean_nothing_are_refused(self):
        for values in (
            {"replica": 2}, {"replicas": "two"}, {"replicas": -1}, {"image": {"name": "x"}}, {"image": {"digest": "sha256:1"}},
            {"limits": {"hosts": ["a,b"]}}, {"metrics": {"alerts": True}}, {"log": {"format": "xml"}},
        ):
            with self.subTest(values), self.assertRaisesRegex(Refused, "schema"):
                chart(values)

    def test_the_test_is_made_where_the_operator_looks(self):
        for values, namespace in (({}, "hello-system"), ({"watchNamespace": "team-a"}, "team-a")):
            hooks = [item for item in chart({"crds": False} | values) if is_hook(item)]
            self.assertEqual({item["kind"] for item in hooks}, {"HelloService", "Pod"})
            for item in hooks:
                self.assertEqual(item["metadata"]["namespace"], namespace)
                self.assertEqual(item["metadata"]["annotations"]["helm.sh/hook"], "test")

    def test_the_data_of_the_test_is_deleted(self):
        for spec in ({"replicas": 1}, {"deletionPolicy": "Retain"}):
            service = next(item for item in chart({"crds": False, "test": {"spec": spec}}) if item["kind"] == "HelloService")
            self.assertEqual(service["spec"]["deletionPolicy"], "Delete")


if __name__ == "__main__":
    unittest.main()
