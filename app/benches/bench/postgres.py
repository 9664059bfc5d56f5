"""The PostgreSQL that both sides use, and pgbench."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from .machine import run

ROOT = Path(__file__).resolve().parents[3]
PORT = 18432
# Numbers as names of letters, as the load generator makes them.
NAME_OF = "'u' || translate(id::text, '0123456789', 'abcdefghij')"
# pgbench has a table of its own, with what the statements need and no more: neither the index for lists nor a function for names.
PLAIN = 'CREATE TABLE plain (username text COLLATE "C" PRIMARY KEY, date_of_birth date NOT NULL) WITH (fillfactor = 90)'
SELECT = "SELECT username, date_of_birth FROM plain WHERE username = 'u' || :id;\n"
UPSERT = ("INSERT INTO plain (username, date_of_birth) VALUES ('u' || :id, DATE '1920-01-01' + CAST(:day AS int)) "
          "ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth;\n")
SOMEBODY, SOME_DAY = "\\set id random(1, {users})\n", "\\set day random(0, 29000)\n"
SCRIPTS = {
    "get": [(1, SOMEBODY + SELECT)],
    "put": [(1, SOMEBODY + SOME_DAY + UPSERT)],
    "mix": [(9, SOMEBODY + SELECT), (1, SOMEBODY + SOME_DAY + UPSERT)],
    "insert": [(1, "\\set id random(1000000001, 2000000000)\n" + SOME_DAY + UPSERT)],
    "same": [(1, SOMEBODY + "\\set day 25567\n" + UPSERT)],
}
SAME_DAY = "1990-01-01"  # 25,567 days after the first one


# PostgreSQL refuses root, so the user nobody runs it.
DEMOTE = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] if os.getuid() == 0 else []


def hand_over(folder):
    """Gives a folder to the user that PostgreSQL runs as."""
    if DEMOTE:
        shutil.chown(folder, 65534, 65534)


class Postgres:
    """A server on a port of its own with the settings it ships with."""

    def __init__(self, folder):
        folder_of_programs = os.environ.get("PG_BIN")
        self.bin = Path(folder_of_programs or f"{run(ROOT / 'manifests/images/postgres/fetch').strip()}/bin")
        self.port, self.loaded = PORT, None
        hand_over(folder)
        data = folder / "data"
        run(*DEMOTE, self.bin / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8")
        self.process = subprocess.Popen(
            [*DEMOTE, self.bin / "postgres", "-D", data, "-p", str(PORT), "-k", "", "-c", "max_connections=400"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            if subprocess.run([self.bin / "pg_isready", "-h", "127.0.0.1", "-p", str(PORT)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        self.psql("CREATE DATABASE hello", "postgres")
        self.psql(PLAIN)

    @staticmethod
    def url(port=PORT):
        return f"postgres://postgres@127.0.0.1:{port}/hello?sslmode=disable"

    def psql(self, sql, database="hello"):
        return run(self.bin / "psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(PORT),
                   "-U", "postgres", "-d", database, "-c", sql).strip()

    def wear_in(self):
        """Log files to write over, as a server has that has run for a while: to make one takes it 30 ms, in which no client writes."""
        self.psql("ALTER SYSTEM SET min_wal_size = '2GB'")
        self.psql("ALTER SYSTEM SET max_wal_size = '4GB'")
        self.psql("SELECT pg_reload_conf()")
        self.psql("SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 1 << 20))) FROM generate_series(1, 2000)")
        self.psql("CHECKPOINT")

    def load(self, workload, users, is_written):
        """Both tables as new, with nothing left to do for the server; those that were only read stay."""
        wanted = (users, workload == "same")
        if is_written or self.loaded != wanted:
            date = f"DATE '{SAME_DAY}'" if workload == "same" else "DATE '1920-01-01' + id % 29000"
            rows = f"FROM generate_series(1, {users}) id"
            self.psql("TRUNCATE users, plain CASCADE")
            self.psql(f"INSERT INTO users SELECT {NAME_OF}, {date} {rows}; INSERT INTO plain SELECT 'u' || id, {date} {rows}")
            self.psql("VACUUM ANALYZE users, plain")
            self.loaded = None if is_written else wanted
        self.psql("CHECKPOINT")

    def updates(self):
        """Rows that were updated, and those of them that left the indexes alone; dead rows."""
        self.psql("SELECT pg_stat_force_next_flush()")
        answer = self.psql("SELECT n_tup_upd, n_tup_hot_upd, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'users'")
        return [int(count) for count in answer.split("|")]

    def pgbench(self, workload, users, clients, seconds, port):
        """The rate, in transactions a second; none when it had no time for any, on a busy machine with many clients."""
        command = [self.bin / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds),
                   "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
        with tempfile.TemporaryDirectory() as folder:
            for number, (weight, script) in enumerate(SCRIPTS[workload]):
                path = Path(folder) / f"{number}.sql"
                path.write_text(script.format(users=users))
                command += ["-f", f"{path}@{weight}"]
            found = re.search(r"tps = ([\d.]+)", run(*command, "hello"))
        return float(found[1]) if found else 0.0

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
