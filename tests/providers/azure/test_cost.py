"""What a node costs Azure Resource Manager: the numbers of docs/providers/azure.md."""

from __future__ import annotations

import pytest
from support.azure.configs import azure_config

from virtual_kubelet.providers.azure.budget import ReadBudget
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.ownership import Identity, Owner
from virtual_kubelet.providers.azure.refresh import Refresh
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.runtime.clock import SteppedClock

OWNER = Owner("vk")
PAGE = 100
SYNC = 5.0  # seconds: --provider-sync-period
SETTLING, MEASURED = 180.0, 120.0  # seconds


class Counted:
    """Stands where the client is: running groups without end, and every read counted."""

    def __init__(self, clock, count):
        self.clock = clock
        self.reads = []  # (time, name or "")
        self.listed = [self._group(number) for number in range(count)]
        self.read = {group["name"]: self._with_view(group) for group in self.listed}

    @staticmethod
    def _group(number):
        container = {"name": "main", "properties": {"image": "i"}}
        return {
            "name": f"g-{number}",
            "tags": OWNER.tags(Identity("ns", f"p-{number}", f"u-{number}")),
            "properties": {"provisioningState": "Succeeded", "containers": [container]},
        }

    @staticmethod
    def _with_view(group):
        state = {"state": "Running", "startTime": "2026-01-01T00:00:00Z"}
        container = {"name": "main", "properties": {"image": "i", "instanceView": {"currentState": state}}}
        return {
            **group,
            "properties": {
                **group["properties"],
                "containers": [container],
                "instanceView": {"state": "Running"},
            },
        }

    def list_all(self, *, take):
        for _ in range(0, len(self.listed), PAGE):
            take()
            self.reads.append((self.clock.monotonic(), ""))
        return self.listed

    def get(self, name, *, counted):
        assert counted
        self.reads.append((self.clock.monotonic(), name))
        return self.read[name]


def run(count, reads_per_minute):
    """Return lists' pages and single reads a minute of groups that have not changed for an hour."""
    clock = SteppedClock()
    client = Counted(clock, count)
    budget = ReadBudget(reads_per_minute, clock)
    inventory = Inventory(lambda: OWNER, clock=clock)
    refresh = Refresh(client, inventory, Surroundings(azure_config()), budget, clock=clock)
    refresh.run()
    for entry in inventory.all():
        inventory.take_group(entry.name, client.read[entry.name], clock.monotonic())
    clock.advance(3600)
    for _ in range(5000):
        budget.spend()  # the store for busy moments is used up
    for _ in range(int((SETTLING + MEASURED) / SYNC)):
        refresh.run()
        clock.advance(SYNC)
    late = [name for at, name in client.reads if at >= clock.monotonic() - MEASURED]
    minutes = MEASURED / 60
    return sum(not name for name in late) / minutes, sum(bool(name) for name in late) / minutes


@pytest.mark.parametrize(
    ("count", "budget", "pages", "singles"),
    [(10, 180, 12, 120), (100, 180, 12, 168), (1000, 180, 60, 120), (1000, 1200, 120, 1080)],
)
def test_reads_a_minute(count, budget, pages, singles):
    found_pages, found_singles = run(count, budget)
    assert found_pages == pytest.approx(pages, rel=0.1)
    assert found_singles == pytest.approx(singles, rel=0.1)
    assert found_pages + found_singles <= budget * 1.02


def test_a_burst_of_creations_is_below_both_limits():
    clock = SteppedClock()
    client = Counted(clock, 1000)
    refresh = Refresh(
        client,
        Inventory(lambda: OWNER, clock=clock),
        Surroundings(azure_config()),
        ReadBudget(180, clock),
        clock=clock,
    )
    for _ in range(60):
        refresh.run()
        clock.advance(1.0)
    seconds = [int(at) for at, _ in client.reads]
    assert max(seconds.count(second) for second in range(60)) <= 250
    assert len(seconds) <= 250 + 25 * 60
