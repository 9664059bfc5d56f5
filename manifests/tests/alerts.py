"""Tests of the alerts with promtool: they fire when they should, not otherwise, and each leads to a section that says what to do."""

import copy
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml
from render import ROOT

FOLDER = ROOT / "manifests/components/alerts"
SUMMARY = re.compile(r"\{\{.*?\}\}")


def rules() -> dict:
    """The rules, in the form of Prometheus' own files."""
    return yaml.safe_load((FOLDER / "alerts.yaml").read_text())["spec"]


def alerts() -> list[dict]:
    """Every alert."""
    return [rule for group in rules()["groups"] for rule in group["rules"] if "alert" in rule]


def promtool(spec: dict, *arguments: str) -> subprocess.CompletedProcess:
    """Runs promtool beside the rules and their tests."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rules.yaml").write_text(yaml.safe_dump(spec))
        # Prometheus knows no names of tests before version 2.44.
        tests = yaml.safe_load((FOLDER / "tests.yaml").read_text())
        for test in tests["tests"]:
            test.pop("name")
        Path(folder, "tests.yaml").write_text(yaml.safe_dump(tests))
        command = [os.environ["PROMTOOL"], *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def headings(page: str) -> set[str]:
    """The anchors of a page."""
    lines = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in lines}


class Alerts(unittest.TestCase):
    """The rules, their tests and their documentation."""

    def test_the_rules_are_well_formed(self):
        done = promtool(rules(), "check", "rules", "--lint-fatal", "rules.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_they_fire_when_they_should_and_not_otherwise(self):
        done = promtool(rules(), "test", "rules", "tests.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_alert_fires_in_one_test_and_stays_silent_in_another(self):
        tests = [check for test in yaml.safe_load((FOLDER / "tests.yaml").read_text())["tests"] for check in test["alert_rule_test"]]
        for rule in alerts():
            expected = [bool(check["exp_alerts"]) for check in tests if check["alertname"] == rule["alert"]]
            self.assertEqual(set(expected), {True, False}, rule["alert"])

    def test_a_wrong_alert_is_noticed(self):
        groups = rules()["groups"]
        places = [(group, number) for group, content in enumerate(groups) for number, rule in enumerate(content["rules"]) if "alert" in rule]
        for group, number in places:
            rule = groups[group]["rules"][number]
            # Without its condition, without its delay, with too long a one, and without the alert.
            for change in ({"expr": "vector(1)"}, {"for": "0s"}, {"for": "50m"}, None):
                spec = copy.deepcopy(rules())
                if change is None:
                    del spec["groups"][group]["rules"][number]
                else:
                    spec["groups"][group]["rules"][number] |= change
                with self.subTest(f"{rule['alert']}: {change}"):
                    self.assertEqual(promtool(spec, "test", "rules", "tests.yaml").returncode, 1)

    def test_they_ask_for_metrics_that_exist(self):
        # The tables that tests of both programs compare with what they expose.
        known = set(re.findall(r"^\| `(hello_\w+)`", (ROOT / "docs/operate.md").read_text(), re.MULTILINE))
        for rule in (rule for group in rules()["groups"] for rule in group["rules"]):
            # What a rule has recorded has colons in its name.
            self.assertEqual(set(re.findall(r"(?<![\w:])hello_\w+", rule["expr"])) - known, set(), rule)

    def test_each_alert_leads_to_a_section_that_names_it(self):
        for rule in alerts():
            page, anchor = rule["annotations"]["documentation"].split("#")
            self.assertIn(anchor, headings(page), rule["alert"])
            self.assertIn(f"`{rule['alert']}`", (ROOT / page).read_text())

    def test_each_alert_has_a_known_severity_and_a_summary(self):
        for rule in alerts():
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
            self.assertGreater(len(SUMMARY.sub("", rule["annotations"]["summary"])), 20)


if __name__ == "__main__":
    unittest.main()
