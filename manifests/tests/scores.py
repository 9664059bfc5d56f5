"""What kube-score finds in the rendered objects. What is meant to be so is in accepted-findings.yaml, with its reason."""

import json
import os
import re
import subprocess
import unittest

import yaml
from render import ROOT, sources

TABLE = ROOT / "manifests/tests/accepted-findings.yaml"
LINE = re.compile(r"\[(?:CRITICAL|WARNING)\] (?P<name>\S+) (?P<kind>\S+): (?P<finding>.*)")


def findings() -> set[tuple[str, str, str]]:
    """Where, about which kind, and what."""
    command = [os.environ["KUBE_SCORE"], "score", "-", "--output-format", "ci", "--kubernetes-version", "v1.35"]
    found = set()
    for source, items in sources().items():
        # They are large, and no check is about them.
        items = [item for item in items if item["kind"] != "CustomResourceDefinition"]
        done = subprocess.run(command, input="\n---\n".join(map(json.dumps, items)), capture_output=True, text=True, check=False)
        # 1: there are findings.
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{source}: {done.stderr}")
        for match in map(LINE.fullmatch, done.stdout.splitlines()):
            if match:
                found.add((source, f"{match['kind'].rsplit('/', 1)[1]} {match['name'].split('/')[0]}", match["finding"]))
    return found


class Scores(unittest.TestCase):
    """The findings against the table."""

    def test_every_finding_is_argued_and_every_argument_is_needed(self):
        accepted = yaml.safe_load(TABLE.read_text())
        used = set()
        for source, about, finding in sorted(findings()):
            reasons = [
                number for number, row in enumerate(accepted) if re.search(row["finding"], finding) and re.fullmatch(row["object"], about)
            ]
            used |= set(reasons)
            with self.subTest(f"{source}: {about}: {finding}"):
                self.assertTrue(reasons, "mend it, or argue it in accepted-findings.yaml")
        unused = [row["finding"] for number, row in enumerate(accepted) if number not in used]
        self.assertEqual(unused, [])


if __name__ == "__main__":
    unittest.main()
