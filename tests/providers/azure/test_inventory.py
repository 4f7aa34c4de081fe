from __future__ import annotations

import pytest

from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.ownership import Identity, Owner
from virtual_kubelet.runtime.clock import SteppedClock

OWNER = Owner("vk", "cluster-1")
WEB = Identity("ns", "web", "uid-1")
RUNNING = {"state": "Running", "startTime": "2026-01-01T00:00:00Z"}
DONE = {"state": "Terminated", "exitCode": 0}


def group(identity=WEB, provisioning="Succeeded", current=None, state=None, name=None):
    view = {} if current is None else {"instanceView": {"currentState": current}}
    properties = {
        "provisioningState": provisioning,
        "containers": [{"name": "main", "properties": {"image": "i", **view}}],
    }
    if state:
        properties["instanceView"] = {"state": state}
    return {"name": name or f"g-{identity.uid}", "tags": OWNER.tags(identity), "properties": properties}


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def inventory(clock):
    return Inventory(lambda: OWNER, clock=clock)


class Steps:
    """Answers to questions that begin now, or earlier."""

    def __init__(self, inventory, clock):
        self.inventory, self.clock = inventory, clock

    def list(self, *groups, ago=0.0, held=()):
        self.clock.advance(1)
        self.inventory.take_list(groups, self.clock.monotonic() - ago, {uid: {} for uid in held})

    def read(self, group, ago=0.0):
        self.clock.advance(1)
        return self.inventory.take_group(group["name"], group, self.clock.monotonic() - ago)

    def absent(self, name="g-uid-1", ago=0.0):
        self.clock.advance(1)
        return self.inventory.take_absence(name, self.clock.monotonic() - ago)

    def wrote(self, group, operation="", anew=True, lost=False):
        self.clock.advance(1)
        return self.inventory.wrote(group["name"], WEB, group, operation, anew=anew, lost=lost)

    def uids(self, wanted=()):
        return [pod["metadata"]["uid"] for pod in self.inventory.pods("", wanted)]

    def phase(self):
        return self.inventory.by_uid("uid-1").status["phase"]


@pytest.fixture
def steps(inventory, clock):
    return Steps(inventory, clock)


def test_ours_are_taken_in_and_others_are_not(steps, inventory):
    foreign = {**group(), "tags": {"NodeName": "another"}}
    steps.list(group(), {**foreign, "name": "x"}, {"name": "y"}, {})
    assert steps.uids() == ["uid-1"]
    assert inventory.listed
    assert inventory.by_name("G-UID-1").identity == WEB


def test_only_of_the_agents_namespace(steps, inventory):
    steps.list(group(), group(Identity("other", "web", "uid-2")))
    assert [pod["metadata"]["namespace"] for pod in inventory.pods("other", ())] == ["other"]


def test_after_a_restart_what_the_api_server_holds_stands_until_it_is_read(steps, inventory, clock):
    held = {"uid-1": {"phase": "Running", "podIP": "10.1.1.1"}}
    inventory.take_list([group()], clock.monotonic(), held)
    assert inventory.by_uid("uid-1").status == held["uid-1"]
    steps.read(group(current=DONE, state="Succeeded"))
    assert steps.phase() == "Succeeded"


def test_a_list_that_began_before_our_write_says_nothing(steps):
    steps.wrote(group(provisioning="Pending"))
    steps.list(ago=5)
    assert steps.uids() == ["uid-1"]
    steps.list(group(provisioning="Failed"), ago=9)
    assert steps.phase() == "Pending"


def test_what_a_list_leaves_out_is_looked_for_before_it_is_gone(steps, inventory):
    steps.list(group(current=RUNNING, state="Running"))
    steps.list()
    assert steps.uids() == ["uid-1"]
    assert [(due.name, due.urgent) for due in inventory.readings()] == [("g-uid-1", True)]
    assert steps.absent()
    assert steps.uids() == []


def test_a_read_alone_does_not_make_a_group_gone(steps):
    steps.list(group(current=RUNNING, state="Running"))
    assert not steps.absent()
    assert steps.uids() == ["uid-1"]


def test_what_was_left_out_and_is_found_stays(steps, inventory):
    steps.list(group())
    steps.list()
    steps.read(group(current=RUNNING, state="Running"))
    assert steps.phase() == "Running"
    assert not inventory.by_uid("uid-1").unlisted


def test_a_new_group_that_nobody_sees_yet_stays_for_a_while(steps, clock):
    steps.wrote(group(provisioning="Pending"))
    steps.list()
    assert not steps.absent()
    clock.advance(121)
    assert steps.absent()


def test_a_removed_group_is_gone_with_the_first_list_or_read_after_it(steps, inventory):
    steps.list(group())
    inventory.removal_taken("g-uid-1")
    steps.list(ago=3)
    assert steps.uids() == ["uid-1"]
    steps.list()
    assert steps.uids() == []
    steps.list(group(Identity("ns", "b", "uid-2")))
    inventory.removing("g-uid-2")
    assert steps.absent("g-uid-2")


def test_a_late_list_does_not_bring_the_dead_back(steps, inventory):
    steps.list(group())
    inventory.removed("g-uid-1")
    steps.list(group(), ago=5)
    assert steps.uids() == []


def test_nor_does_a_late_read(steps, inventory):
    steps.list(group())
    inventory.removed("g-uid-1")
    assert steps.read(group(), ago=5) is None
    assert steps.uids() == []


def test_what_comes_back_is_looked_at_first(steps, inventory):
    steps.list(group())
    inventory.removed("g-uid-1")
    steps.list(group())
    assert steps.uids() == []
    assert inventory.readings()[0].urgent
    steps.read(group(current=RUNNING, state="Running"))
    assert steps.uids() == ["uid-1"]


def test_what_comes_back_and_is_not_there_is_dropped(steps, inventory):
    steps.list(group())
    inventory.removed("g-uid-1")
    steps.list(group())
    assert steps.absent()
    assert inventory.all() == []


def test_groups_that_came_up_are_read_at_once_and_ended_ones_never_again(steps, inventory, clock):
    steps.list(group(provisioning="Creating"))
    clock.advance(10)
    assert [due.urgent for due in inventory.readings()] == [False]
    steps.list(group())
    assert [due.urgent for due in inventory.readings()] == [True]
    steps.read(group(current=RUNNING, state="Running"))
    clock.advance(100)
    assert [due.urgent for due in inventory.readings()] == [False]
    steps.read(group(current=DONE, state="Succeeded"))
    clock.advance(100_000)
    assert inventory.readings() == []
    steps.list(group(provisioning="Updating"))
    assert len(inventory.readings()) == 1


def test_a_list_with_views_needs_no_reads(steps, inventory):
    steps.list(group(current=RUNNING, state="Running"))
    assert inventory.readings() == []
    assert steps.phase() == "Running"


def test_what_changed_lately_is_read_first(steps, inventory, clock):
    old, new = Identity("ns", "a", "uid-1"), Identity("ns", "b", "uid-2")
    steps.list(group(old), group(new))
    steps.read(group(old, current=RUNNING, state="Running"))
    clock.advance(3600)
    steps.read(group(new, current=RUNNING, state="Running"))
    steps.read(group(old, current=RUNNING, state="Running"))
    clock.advance(40)
    assert [due.name for due in inventory.readings()] == ["g-uid-2", "g-uid-1"]


def test_a_group_that_failed_for_want_of_room_is_made_again(steps, inventory):
    steps.wrote(group(provisioning="Creating"), operation="/op")
    steps.list(group(provisioning="Failed"))
    assert [(entry.name, entry.operation) for entry in inventory.unexplained()] == [("g-uid-1", "/op")]
    assert steps.phase() == "Pending"  # until it is known why
    inventory.explain("g-uid-1", inventory.by_name("g-uid-1").unexplained_at, "ServiceUnavailable: no room")
    assert inventory.unexplained() == []
    assert steps.uids(wanted={"uid-1"}) == []
    assert steps.uids() == ["uid-1"]  # a leak, where nobody wants it
    assert inventory.take_failure("uid-1") == "ServiceUnavailable: no room"
    assert inventory.take_failure("uid-1") == ""
    steps.wrote(group(provisioning="Creating"), lost=True)
    assert steps.uids(wanted={"uid-1"}) == ["uid-1"]
    assert steps.phase() == "Pending"


def test_other_failures_are_the_pods_end(steps, inventory):
    steps.wrote(group(provisioning="Creating"), operation="/op")
    steps.list(group(provisioning="Failed"))
    inventory.explain(
        "g-uid-1", inventory.by_name("g-uid-1").unexplained_at, "AzureFileNotFound: no such share"
    )
    assert steps.uids(wanted={"uid-1"}) == ["uid-1"]
    status = inventory.by_uid("uid-1").status
    assert (status["phase"], status["message"]) == ("Failed", "AzureFileNotFound: no such share")


def test_how_an_older_write_failed_says_nothing_of_the_next(steps, inventory):
    steps.wrote(group(provisioning="Creating"), operation="/op-1")
    steps.list(group(provisioning="Failed"))
    entry = inventory.by_uid("uid-1")
    asked = entry.unexplained_at
    steps.wrote(group(provisioning="Creating"), operation="/op-2")
    for since in (asked, entry.unexplained_at):
        inventory.explain("g-uid-1", since, "AzureFileNotFound: no such share")
    assert (entry.operation, entry.failure) == ("/op-2", "")
    steps.list(group(provisioning="Failed"))
    assert inventory.unexplained() == [entry]


def test_whoever_takes_the_tags_takes_the_group(steps, inventory):
    steps.list(group())
    stolen = {**group(), "tags": OWNER.tags(Identity("ns", "web", "uid-9"))}
    steps.list(stolen)
    assert inventory.by_uid("uid-9") is None


def test_a_trial_is_remembered(inventory):
    assert not inventory.trying("uid-1")
    assert inventory.trying("uid-1")
