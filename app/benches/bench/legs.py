"""What is measured: one workload with so many connections is a leg."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True)
class Leg:
    name: str
    workload: str
    connections: int
    users: int | None = None  # None: as many as the command line says
    tls: bool = False  # between clients and the app
    far: bool = False  # half a millisecond to the database
    reconnects: bool = False  # a connection for each request
    rate: float | None = None  # at this share of the capacity, not as fast as possible

    @property
    def has_rival(self):
        """Whether pgbench does something like it."""
        return not (self.tls or self.reconnects or self.rate)

    @property
    def writes(self):
        return self.workload != "get"


LEGS = [
    *(Leg(f"{workload}-{count}", workload, count) for workload in ("get", "put") for count in (1, 8, 32, 256)),
    *(Leg(f"{workload}-32", workload, 32) for workload in ("mix", "insert", "same")),
    *(Leg(f"million-{workload}-32", workload, 32, users=MILLION) for workload in ("get", "put")),
    *(Leg(f"far-{workload}-{count}", workload, count, far=True) for workload in ("get", "put") for count in (1, 32)),
    Leg("tls-32", "get", 32, tls=True),
    Leg("reconnect-8", "get", 8, reconnects=True),
    *(Leg(f"rate-{percent}", "get", 64, rate=percent / 100) for percent in (50, 80)),
]
