"""Measurements of one leg: of pgbench and of the programs, in turn."""

import statistics
from pathlib import Path

from . import load, programs
from .machine import Span, cpu_seconds, resident_mib

MAX_FOREIGN = 0.05
WARM = 1


class Session:
    """A server, the programs to measure, and the way of measuring."""

    def __init__(self, arguments, postgres, binaries, tools, folder, log):
        self.arguments, self.postgres, self.log = arguments, postgres, log
        self.apps = {("app" if len(binaries) == 1 else Path(binary).name): binary for binary in binaries}
        self.tools, self.folder = tools, folder
        self.starts, self.capacity = [], {}

    def measure(self, leg):
        """Rows by program: one for each round that nobody else disturbed."""
        rows = {}
        for _ in range(self.arguments.rounds):
            if leg.has_rival:
                rows.setdefault("pgbench", []).append(self._undisturbed(leg, self._pgbench))
            for name, binary in self.apps.items():
                rows.setdefault(name, []).append(self._undisturbed(leg, lambda leg: self._app(leg, name, binary)))
            if leg.name == "get-32":
                rows.setdefault("sqlx's pool", []).append(self._undisturbed(leg, self._pool))
        return rows

    def _undisturbed(self, leg, measure):
        """A measurement during which other programs took little of the machine; the least disturbed one when there is none."""
        best = None
        for _ in range(self.arguments.tries):
            self.postgres.load(leg.workload, leg.users or self.arguments.users, leg.writes)
            row = measure(leg)
            if best is None or row["foreign"] < best["foreign"]:
                best = row
            if best["foreign"] <= MAX_FOREIGN:
                break
        return best

    def _pgbench(self, leg):
        users = leg.users or self.arguments.users
        with self._way(leg) as port:
            self.postgres.pgbench(leg.workload, users, leg.connections, WARM, port)
            span, before = Span(), cpu_seconds(self.postgres.process.pid)
            rate = self.postgres.pgbench(leg.workload, users, leg.connections, self.arguments.seconds, port)
            spent = cpu_seconds(self.postgres.process.pid) - before
            return span.end() | {"rate": rate, "postgres_us": spent / max(rate * self.arguments.seconds, 1) * 1e6}

    def _app(self, leg, name, binary):
        tls = programs.certificate(self.folder) if leg.tls else None
        with self._way(leg) as port:
            program = programs.app(binary, self.postgres.url(port), self.log, tls)
            self.starts.append(program.ready_ms)
            return self._loaded(leg, program, lambda seconds: self._load(leg, name, seconds))

    def _pool(self, leg):
        program = programs.pool(self.tools / "sqlx-pool", self.postgres.url(), self.log)
        return self._loaded(leg, program, lambda seconds: self._load(leg, "sqlx's pool", seconds))

    def _load(self, leg, name, seconds):
        users = leg.users or self.arguments.users
        if leg.rate is None:
            return load.closed(leg.workload, users, leg.connections, seconds, tls=leg.tls, reconnects=leg.reconnects)
        if name not in self.capacity:
            found = load.closed(leg.workload, users, leg.connections, max(seconds, 2))
            self.capacity[name] = found["requests"] / found["seconds"]
        rate = leg.rate * self.capacity[name]
        return load.at_rate(self.tools / "open-loop", rate, users, leg.connections, seconds)

    def _loaded(self, leg, program, run):
        """A load run after one to get warm; stops the program."""
        try:
            run(WARM)
            pids = program.process.pid, self.postgres.process.pid
            updates = self.postgres.updates() if leg.writes else None
            span, before = Span(), [cpu_seconds(pid) for pid in pids]
            row = run(self.arguments.seconds)
            spent = [cpu_seconds(pid) - earlier for pid, earlier in zip(pids, before)]
            row |= span.end()
            requests = max(row["requests"], 1)
            row |= {"rate": requests / row["seconds"], "app_us": spent[0] / requests * 1e6, "postgres_us": spent[1] / requests * 1e6,
                    "mib": resident_mib(pids[0]), "peak": resident_mib(pids[0], "VmHWM")}
            if updates:
                # Dead rows as a vacuum would find them: updates minus those that were pruned on the way.
                changed = [now - earlier for now, earlier in zip(self.postgres.updates(), updates)]
                row |= {"updated": changed[0], "hot": changed[1], "dead": changed[2]}
            return row
        finally:
            program.stop()

    def _way(self, leg):
        return Way(self.tools / "far", self.postgres.port, self.log) if leg.far else Direct(self.postgres.port)


class Direct:
    """The database's own port."""

    def __init__(self, port):
        self.port = port

    def __enter__(self):
        return self.port

    def __exit__(self, *_):
        pass


class Way(Direct):
    """A port from which it is half a millisecond to the database."""

    def __init__(self, binary, port, log):
        super().__init__(port + 1)
        self.process = programs.far(binary, self.port, port, log)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def median(rows, key):
    return statistics.median(row[key] for row in rows)


HEAD = ("| leg | program | rate/s | of pgbench | p50 ms | p99 ms | app µs | PostgreSQL µs | MiB (peak) | idle | steal | foreign | notes |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")


def print_rows(leg, rows):
    """A line for each program: medians over the rounds. Ratios are taken within a round."""
    rivals = rows.get("pgbench")
    for program, found in rows.items():
        def cell(key, form="{:.1f}", found=found):
            return form.format(median(found, key)) if key in found[0] else ""
        ratios = [row["rate"] / rival["rate"] for row, rival in zip(found, rivals or []) if rival["rate"]]
        size = f"{median(found, 'mib'):.1f} ({max(row['peak'] for row in found):.1f})" if "mib" in found[0] else ""
        print("| " + " | ".join([
            leg.name, program, cell("rate", "{:,.0f}"), f"{statistics.median(ratios):.2f}" if ratios and program != "pgbench" else "",
            cell("p50", "{:.2f}"), cell("p99", "{:.2f}"), cell("app_us"), cell("postgres_us"), size,
            cell("idle", "{:.0%}"), cell("steal", "{:.0%}"), cell("foreign", "{:.0%}"), notes(found)]) + " |", flush=True)


def notes(found):
    said = []
    if max(row["foreign"] for row in found) > MAX_FOREIGN:
        said.append("DISTURBED: other programs ran")
    if errors := sum(row.get("errors", 0) for row in found):
        said.append(f"{errors} errors")
    if "updated" in found[0]:
        updated, hot = (sum(row[key] for row in found) for key in ("updated", "hot"))
        dead = sum(row["dead"] for row in found)
        said.append(f"{updated:,} rows updated, {hot / max(updated, 1):.0%} of them without the indexes, {dead:,} dead")
    return "; ".join(said)
