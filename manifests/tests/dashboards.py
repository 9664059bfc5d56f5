"""Tests of the Grafana dashboards: they ask for metrics that exist, in a form that Prometheus understands."""

import copy
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from render import ROOT

FOLDER = ROOT / "manifests/components/dashboards"
METRIC = re.compile(r"\bhello_\w+")
# What Grafana puts in.
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$namespace": ".*"}


def dashboards() -> dict[str, dict]:
    """The dashboards by their files."""
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def documented() -> set[str]:
    """The metrics in the tables of docs/operate.md, which tests of both programs compare with what they expose."""
    text = (ROOT / "docs/operate.md").read_text()
    return set(re.findall(r"^\| `(hello_\w+)` \|", text[text.index("\n## Metrics\n") :], re.MULTILINE))


def queries(dashboard: dict) -> list[str]:
    """Everything that a dashboard asks Prometheus."""
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return asked + [item["query"] for item in dashboard["templating"]["list"] if item["type"] == "query"]


def metrics(dashboard: dict, known: set[str]) -> set[str]:
    """The metrics that a dashboard asks for; those of a histogram under its name."""
    names = {name for query in queries(dashboard) for name in METRIC.findall(query)}
    return {name if name in known else re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def understood(dashboard: dict) -> bool:
    """Whether Prometheus can parse each query of the panels."""
    rules = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            rules.append({"record": f"panel_{panel['id']}_{target['refId']}", "expr": query})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "queries", "rules": rules}]}, file)
        file.flush()
        return subprocess.run([os.environ["PROMTOOL"], "check", "rules", file.name], capture_output=True, check=False).returncode == 0


class Dashboards(unittest.TestCase):
    """Both dashboards."""

    def test_they_ask_for_metrics_that_exist(self):
        known = documented()
        self.assertGreater(len(known), 25)
        for name, dashboard in dashboards().items():
            self.assertEqual(metrics(dashboard, known) - known, set(), name)
            self.assertGreater(len(metrics(dashboard, known)), 10, name)

    def test_prometheus_understands_every_query(self):
        for name, dashboard in dashboards().items():
            self.assertTrue(understood(dashboard), name)
            wrong = copy.deepcopy(dashboard)
            wrong["panels"][0]["targets"][0]["expr"] += ")"
            self.assertFalse(understood(wrong), name)

    def test_panels_have_their_place_and_their_data_source(self):
        for name, dashboard in dashboards().items():
            panels, taken = dashboard["panels"], set()
            self.assertEqual(len({panel["id"] for panel in panels}), len(panels), name)
            for panel in panels:
                self.assertEqual(panel["datasource"]["uid"], "${datasource}", panel["title"])
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
                cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
                self.assertFalse(cells & taken, panel["title"])
                taken |= cells

    def test_they_have_identities_of_their_own(self):
        found = dashboards().values()
        self.assertEqual(len({item["uid"] for item in found}), len(found))
        self.assertEqual({name.removesuffix(".json") for name in dashboards()}, {item["uid"] for item in found})


if __name__ == "__main__":
    unittest.main()
