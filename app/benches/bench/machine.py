"""Processor time of processes and of the whole machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def run(*command, **options):
    """Runs a command and returns its output; prints its errors when it fails."""
    outcome = subprocess.run(command, text=True, capture_output=True, **options)
    if outcome.returncode != 0:
        sys.exit(f"bench: {command[0]} failed: {outcome.stderr.strip()}")
    return outcome.stdout


def stat(pid):
    """The fields of /proc/PID/stat after the name; none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pid):
    """User and system time of a process, of its children, and of those children that have ended and that it has waited for."""
    fields = stat(pid)
    if fields is None:
        return 0
    return sum(int(field) for field in fields[11:15]) / TICKS + sum(cpu_seconds(child) for child in children(pid))


def resident_mib(pid, field="VmRSS"):
    """The memory of a process; none when it has ended."""
    try:
        found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        found = None
    return int(found[1]) / 1024 if found else 0


class Span:
    """What the machine did between two moments, in shares of all its processors."""

    def __init__(self):
        self.before = self._now()

    @staticmethod
    def _now():
        user, nice, system, idle, waiting, interrupt, soft, steal, *_ = (
            int(field) / TICKS for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        # This program started all that belongs to the measurement.
        return {"busy": user + nice + system, "idle": idle + waiting, "steal": steal,
                "all": user + nice + system + idle + waiting + interrupt + soft + steal, "own": cpu_seconds(os.getpid())}

    def end(self):
        now = self._now()
        spent = {what: now[what] - self.before[what] for what in now}
        whole = max(spent["all"], 1 / TICKS)
        return {"idle": spent["idle"] / whole, "steal": spent["steal"] / whole,
                "foreign": max(spent["busy"] - spent["own"], 0) / whole}
