"""Tests of the files for Docker Compose: of the form that Compose and Prometheus ask for, and about what there is."""

import os
import re
import subprocess
import unittest
from pathlib import Path

import yaml
from render import ROOT

FOLDER = ROOT / "manifests/compose"
COMPOSE = FOLDER / "compose.yaml"


def services() -> dict:
    """What is started."""
    return yaml.safe_load(COMPOSE.read_text())["services"]


class Compose(unittest.TestCase):
    """compose.yaml and the files that it mounts."""

    def run_tool(self, *command: str | Path):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_fits_the_schema_of_compose(self):
        self.run_tool(os.environ["CHECK_JSONSCHEMA"], "--builtin-schema", "vendor.compose-spec", COMPOSE)

    def test_prometheus_understands_its_configuration(self):
        self.run_tool(os.environ["PROMTOOL"], "check", "config", FOLDER / "prometheus.yaml")

    def test_everything_that_is_mounted_exists(self):
        volumes = yaml.safe_load(COMPOSE.read_text())["volumes"]
        for name, service in services().items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                self.assertTrue(source in volumes or (FOLDER / source).exists(), f"{name}: {volume}")

    def test_only_this_machine_reaches_the_ports(self):
        for name, service in services().items():
            for port in service.get("ports", []):
                self.assertRegex(port, r"^127\.0\.0\.1:", name)

    def test_prometheus_asks_the_port_of_the_app_s_metrics(self):
        dockerfile = (ROOT / "manifests/images/hello-app/Dockerfile").read_text()
        port = re.search(r"HELLO_ADMIN_LISTEN=\[::\]:(\d+)", dockerfile).group(1)
        jobs = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
        self.assertEqual([target for job in jobs for entry in job["static_configs"] for target in entry["targets"]], [f"app:{port}"])

    def test_grafana_finds_the_dashboards_and_their_prometheus(self):
        mounts = dict(volume.split(":")[:2] for volume in services()["grafana"]["volumes"])
        folder = (FOLDER / "../components/dashboards").resolve()
        inside = next(target for source, target in mounts.items() if (FOLDER / source).resolve() == folder)
        provider = yaml.safe_load((FOLDER / "grafana/dashboards/hello.yaml").read_text())["providers"][0]
        self.assertEqual(provider["options"]["path"], inside)
        home = Path(services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
        self.assertEqual(str(home.parent), inside)
        self.assertTrue((folder / home.name).exists())
        source = yaml.safe_load((FOLDER / "grafana/datasources/prometheus.yaml").read_text())["datasources"][0]
        self.assertEqual(source["url"], "http://prometheus:9090")
        self.assertIn("prometheus", services())


if __name__ == "__main__":
    unittest.main()
