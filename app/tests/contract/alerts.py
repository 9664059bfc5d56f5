"""What Prometheus reports of the program: see `alerts` beside this file.

alerts.py configure FOLDER METRICS    writes Prometheus' configuration, and the project's rules, which wait a second instead of minutes
alerts.py watch PROMETHEUS API PID    the database server is the process PID
"""

import http.client
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

RULES = Path(__file__).resolve().parents[3] / "manifests/components/alerts/alerts.yaml"
# Only what never happens takes as long.
DEADLINE = 120.0


def configure(folder: Path, metrics: str) -> None:
    """Prometheus' files."""
    rules = yaml.safe_load(RULES.read_text())["spec"]
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    job = {"job_name": "hello", "static_configs": [{"targets": [metrics], "labels": {"namespace": "shop"}}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"}, "rule_files": ["rules.yaml"], "scrape_configs": [job]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))


def answer(url: str) -> int:
    """The status of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def ask(prometheus: str, path: str, **query: str):
    """What Prometheus answers, or nothing while it does not."""
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return json.load(response)["data"]
    except (OSError, http.client.HTTPException):
        return None


def until(what: str, check):
    """Waits for what has to come."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.1)
    sys.exit(f"alerts: not within {DEADLINE:.0f} s: {what}")


def watch(prometheus: str, api: str, database: int) -> None:
    """All is well, and then the database is gone."""

    def alerts() -> dict[str, str]:
        return {alert["labels"]["alertname"]: alert["state"] for alert in (ask(prometheus, "alerts") or {"alerts": []})["alerts"]}

    def scraped() -> bool:
        found = ask(prometheus, "query", query="count_over_time(hello_http_requests_total{status='200'}[5m]) >= 3")
        return bool(found and found["result"])

    def recorded() -> float:
        found = ask(prometheus, "query", query="namespace_job:hello_http_requests:errors_ratio_rate5m{namespace='shop',job='hello'}")
        return float(found["result"][0]["value"][1]) if found and found["result"] else 0.0

    def fails() -> bool:
        status = answer(f"{api}/hello/nobody")
        if status not in (404, 503):
            sys.exit(f"alerts: the API answers {status}")
        return alerts().get("HelloServerErrors") == "firing"

    for _ in range(20):
        if (status := answer(f"{api}/users")) != 200:
            sys.exit(f"alerts: the API answers {status} while all is well")
    until("three scrapes of the program", scraped)
    until("the alert about the operator that is not here", lambda: alerts().get("HelloOperatorWithoutLeader") == "firing")
    if set(alerts()) != {"HelloOperatorWithoutLeader"}:
        sys.exit(f"alerts: while all is well, there are {alerts()}")
    os.kill(database, signal.SIGQUIT)
    until("an alert about errors", fails)
    if set(alerts()) != {"HelloOperatorWithoutLeader", "HelloServerErrors"} or recorded() <= 0.05:
        sys.exit(f"alerts: without a database, there are {alerts()}, and errors are {recorded()} of all answers")


def main() -> None:
    """One of the two."""
    if sys.argv[1] == "configure":
        configure(Path(sys.argv[2]), sys.argv[3])
    else:
        watch(sys.argv[2], sys.argv[3], int(sys.argv[4]))


main()
