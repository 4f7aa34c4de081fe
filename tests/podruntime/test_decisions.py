"""Pods played through on paper."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pod_world import World, container, make_pod

from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.containers import find
from virtual_kubelet.podruntime.driver import Sandbox
from virtual_kubelet.podruntime.record import PodRecord, Verdict


def init(name, **fields):
    return container(name, **fields)


def sidecar(name, **fields):
    return container(name, restartPolicy="Always", **fields)


def test_a_pod_that_succeeds_is_over():
    world = World(make_pod(container("a"), container("b"), restartPolicy="Never")).run()
    assert world.running() == ["a", "b"]
    assert world.log == ["start a", "start b"]
    world.exit("a")
    assert (world.phase(), world.record.over) == ("Running", False)
    world.exit("b")
    assert (world.phase(), world.record.over) == ("Succeeded", True)
    assert world.log[2:] == ["tear down"]


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_never(code, phase):
    world = World(make_pod(restartPolicy="Never")).run().exit(code=code)
    assert world.phase() == phase
    assert world.started == [("c", 0)]


def test_always_never_ends():
    world = World(make_pod()).run().exit().exit()
    assert world.started == [("c", 0), ("c", 1)]
    assert world.state()["waiting"]["reason"] == "CrashLoopBackOff"
    assert world.wake_at == world.now + 10
    world.advance(9.9)
    assert world.running() == []
    world.to_wake()
    assert world.started[-1] == ("c", 2)
    assert world.log.count("back-off c 10") == 1
    assert world.phase() == "Running"


def test_the_delay_counts_from_the_end():
    world = World(make_pod()).run().exit(code=1)
    world.advance(100)
    world.exit(code=1)
    assert world.wake_at == world.now + 10


def test_init_containers_one_after_another():
    world = World(make_pod(initContainers=[init("one"), init("two")])).run()
    assert world.running() == ["one"]
    assert world.state()["waiting"]["reason"] == "PodInitializing"
    assert world.phase() == "Pending"
    world.exit("one")
    assert world.running() == ["two"]
    world.exit("two")
    assert world.running() == ["c"]
    assert world.phase() == "Running"


def test_a_failed_init_container_is_tried_again():
    world = World(make_pod(initContainers=[init("one")], restartPolicy="OnFailure")).run()
    world.exit("one", 1)
    assert world.started == [("one", 0), ("one", 1)]
    world.exit("one", 1)
    assert world.state("one", "initContainerStatuses")["waiting"]["reason"] == "CrashLoopBackOff"
    assert world.phase() == "Pending"
    world.to_wake().exit("one")
    assert world.running() == ["c"]


def test_a_failed_init_container_fails_a_pod_that_never_restarts():
    world = World(make_pod(initContainers=[init("one")], restartPolicy="Never")).run().exit("one", 1)
    assert (world.phase(), world.record.over) == ("Failed", True)
    assert world.started == [("one", 0)]


def test_a_sidecar_holds_up_the_others_until_it_has_started():
    probe = {"startupProbe": {"exec": {"command": ["x"]}}}
    world = World(make_pod(initContainers=[sidecar("side", **probe), init("one")])).run()
    assert world.running() == ["side"]
    transitions.startup_succeeded(_slot(world, "side"), world.record.container("side"))
    world.run()
    assert world.running() == ["one", "side"]
    world.exit("one")
    assert world.running() == ["c", "side"]


def _slot(world, name):
    return find(world.pod, name)


def test_a_sidecar_is_restarted_and_does_not_keep_the_pod_alive():
    world = World(make_pod(initContainers=[sidecar("side")], restartPolicy="Never")).run()
    world.exit("side", 0)
    assert ("side", 1) in world.started
    world.exit("c", 0)
    assert world.running() == ["side"]
    assert world.phase() == "Running", "not final while something runs"
    assert "signal side" in world.log
    world.exit("side", 143)
    assert (world.phase(), world.record.over) == ("Succeeded", True)


def test_sidecars_end_last_and_in_reverse():
    world = World(make_pod(initContainers=[sidecar("one"), sidecar("two")])).run()
    world.delete(30)
    assert world.log[-1:] == ["signal c"]
    world.exit("c", 143)
    assert world.log[-1] == "signal two"
    world.exit("two", 143)
    assert world.log[-1] == "signal one"
    world.exit("one", 0)
    assert world.record.over


def test_when_the_grace_is_over_everybody_is_ended():
    world = World(make_pod(initContainers=[sidecar("one"), sidecar("two")])).run()
    world.delete(10)
    world.advance(10)
    assert "kill c" in world.log
    assert {"signal one", "signal two"} <= set(world.log)
    world.advance(2)
    assert world.record.over
    assert world.log[-1] == "tear down"


def test_deletion_signals_then_kills():
    world = World(make_pod()).run().delete(30)
    assert world.log == ["start c", "signal c"]
    assert world.wake_at == world.now + 30
    world.advance(29)
    assert world.running() == ["c"]
    world.to_wake()
    assert world.log[2:] == ["kill c", "tear down"]
    assert world.phase() == "Failed"


def test_a_shorter_grace_comes_into_force():
    world = World(make_pod()).run().delete(600)
    world.advance(5)
    world.delete(1)
    assert world.wake_at == world.now + 1
    world.to_wake()
    assert world.record.over


def test_a_longer_grace_does_not():
    world = World(make_pod()).run().delete(5)
    world.delete(600)
    world.advance(5)
    assert world.record.over


def test_without_grace_there_is_no_signal():
    world = World(make_pod()).run().delete(0)
    assert world.log == ["start c", "kill c", "tear down"]


def test_a_pod_deleted_before_it_began():
    world = World(make_pod())
    world.delete(30)
    assert world.started == []
    assert world.record.over
    assert world.phase() == "Failed"


def test_a_pod_that_waits_for_its_back_off_is_deleted_at_once():
    world = World(make_pod()).run().exit(code=1).exit(code=1).delete(30)
    assert world.record.over
    assert world.state()["terminated"]["exitCode"] == 1


def test_pre_stop_comes_before_the_signal_and_uses_up_the_grace():
    hooked = container(lifecycle={"preStop": {"exec": {"command": ["x"]}}})
    world = World(make_pod(hooked)).run().delete(30)
    assert world.log[1:] == ["preStop c"]
    world.advance(29)
    assert world.log[1:] == ["preStop c"]
    world.hook_ended(post_start=False)
    assert world.log[1:] == ["preStop c", "signal c"]
    assert world.wake_at == world.now + 2, "two seconds are always left for the signal"
    world.to_wake()
    assert world.record.over


def test_a_signal_that_does_not_get_through_keeps_no_container_alive():
    hooked = container(lifecycle={"preStop": {"exec": {"command": ["x"]}}})
    world = World(make_pod(hooked)).run().delete(30)
    transitions.hook_ended(world.record.container("c"), post_start=False, failed=False)
    world.advance(32)  # with no signal sent until then
    assert world.log[1:] == ["preStop c", "kill c", "tear down"]


def test_a_pre_stop_that_hangs():
    hooked = container(lifecycle={"preStop": {"exec": {"command": ["x"]}}})
    world = World(make_pod(hooked)).run().delete(30)
    world.advance(30)
    assert world.log[-1] == "signal c"
    world.to_wake()
    assert world.log[-2:] == ["kill c", "tear down"]


def test_post_start_holds_back_the_next_container_and_its_failure_ends_this_one():
    hooked = container("a", lifecycle={"postStart": {"exec": {"command": ["x"]}}})
    world = World(make_pod(hooked, container("b"), restartPolicy="Never")).run()
    assert world.log == ["start a", "postStart a"]
    world.hook_ended("a", post_start=True, failed=True)
    assert world.log[2:] == ["signal a", "start b"]


def test_the_active_deadline():
    world = World(make_pod(activeDeadlineSeconds=60)).run()
    assert world.wake_at == 1060
    world.to_wake()
    assert world.log[-1] == "signal c"
    assert world.phase() == "Running"
    world.exit(code=0)
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert "longer than the specified deadline" in status["message"]


def test_a_pod_that_was_not_taken_in():
    world = World(make_pod())
    world.record.verdict = Verdict("OutOfcpu", "no room", rejected=True)
    world.run()
    assert world.started == []
    status = world.status()
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "OutOfcpu", "no room")
    assert "containerStatuses" not in status
    assert world.record.over


def test_a_changed_image_restarts_whatever_the_policy():
    world = World(make_pod(restartPolicy="Never")).run()
    world.pod = make_pod(container(image="c:2"), restartPolicy="Never")
    world.run()
    assert world.log[-1] == "signal c"
    world.exit(code=143)
    assert world.started == [("c", 0), ("c", 1)]


def test_an_ephemeral_container_runs_once():
    world = World(make_pod()).run()
    world.pod = make_pod(ephemeralContainers=[container("debug")])
    world.run()
    assert world.running() == ["c", "debug"]
    world.exit("debug", 1)
    assert world.started.count(("debug", 0)) == 1
    assert world.state("debug", "ephemeralContainerStatuses")["terminated"]["exitCode"] == 1
    assert world.phase() == "Running"


def test_in_a_new_sandbox_the_pod_is_initialized_again():
    world = World(make_pod(initContainers=[init("one")])).run().exit("one")
    assert world.running() == ["c"]
    # The machine was restarted: nothing runs, and the next agent makes a new sandbox.
    assert transitions.container_lost(world.record.container("c"), world.now)
    world.sandbox, world.prepared = "s2", False
    world.run()
    assert world.running() == ["one"]
    world.exit("one")
    assert world.started == [("one", 0), ("c", 0), ("one", 1), ("c", 1)]
    assert (
        world.status()["containerStatuses"][0]["lastState"]["terminated"]["reason"]
        == "ContainerStatusUnknown"
    )


ALL_ANEW = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}]


def test_one_container_may_have_all_begin_anew():
    world = World(
        make_pod(
            container("watcher", restartPolicy="Never", restartPolicyRules=ALL_ANEW),
            container("main"),
            initContainers=[container("init"), container("side", restartPolicy="Always")],
            restartPolicy="Never",
        )
    ).run()
    world.exit("init")
    world.exit("main", 0)
    assert world.running() == ["side", "watcher"]
    world.log.clear()
    world.exit("watcher", 88)
    assert world.log == ["signal side"]
    assert world.phase() == "Running"
    world.exit("side", 143)
    assert world.log[1:] == ["start init"], "in their order, although they had all done their work"
    world.exit("init")
    assert world.log[2:] == ["start side", "start watcher", "start main"]
    assert world.record.container("main").restarts == 1
    world.exit("watcher", 88)
    world.exit("side", 143)
    world.exit("main", 143)
    world.exit("init")
    assert world.running() == ["main", "side"], "the cause waits for its back-off"
    world.advance(10)
    assert world.running() == ["main", "side", "watcher"]
    world.exit("watcher", 1)
    world.exit("main", 1)
    world.exit("side", 0)
    assert (world.phase(), world.record.over) == ("Failed", True)


@pytest.mark.parametrize(("policy", "code"), [("Never", 143), ("OnFailure", 0)])
def test_a_sidecar_may_have_all_begin_anew(policy, code):
    rules = [container("watcher", restartPolicy="Always", restartPolicyRules=ALL_ANEW)]
    world = World(make_pod(initContainers=[container("setup"), *rules], restartPolicy=policy)).run()
    world.exit("setup")
    world.exit("watcher", 88)
    world.exit("c", code)
    assert world.running() == ["setup"], "what was ended for it does not end the pod"
    assert not world.record.over


def test_an_init_container_may_have_itself_run_again():
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "NotIn", "values": [0]}}]
    first, second = container("first"), container("second", restartPolicyRules=rules)
    world = World(make_pod(initContainers=[first, second], restartPolicy="Never")).run()
    world.exit("first")
    world.exit("second", 3)
    assert world.running() == ["first"]
    world.exit("first")
    world.exit("second")
    assert world.running() == ["c"]


def test_what_could_not_be_prepared_is_tried_again_later():
    world = World(make_pod())
    transitions.could_not_prepare(world.record, 'configmap "x" not found', world.now)
    world.run()
    assert world.log == []
    assert world.wake_at == world.now + 1
    assert world.status()["message"] == 'configmap "x" not found'
    world.to_wake()
    assert world.running() == ["c"]


def test_what_could_not_be_started_is_tried_again_ever_later():
    world = World(make_pod())
    world.prepared = True
    waits = []
    for _ in range(8):
        transitions.could_not_start(
            world.record.container("c"), "CreateContainerConfigError", "no", world.now
        )
        waits.append(world.record.container("c").retry_at - world.now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert world.state()["waiting"] == {"reason": "CreateContainerConfigError", "message": "no"}
    assert world.phase() == "Pending"


def test_old_news_is_no_news():
    world = World(make_pod()).run()
    old = world.info()
    world.exit(code=1)
    assert not transitions.observe(world.record, _slot(world, "c"), old, world.now)
    assert world.info().attempt == 1


def test_a_container_that_was_started_without_being_written_down_is_adopted():
    world = World(make_pod()).run()
    info = world.info()
    fresh = World(make_pod())
    transitions.observe(fresh.record, _slot(fresh, "c"), info, fresh.now)
    fresh.run()
    assert fresh.started == []
    assert fresh.running() == ["c"]


def test_a_record_survives_json():
    world = World(make_pod(initContainers=[sidecar("side")])).run().exit(code=1).exit(code=1).delete(30)
    again = PodRecord.from_json(world.record.to_json())
    assert again == world.record
    assert PodRecord.from_json({**world.record.to_json(), "of a later version": 1}) == world.record


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("exit"), st.sampled_from(["i", "s", "a", "b"]), st.integers(0, 1)),
        st.tuples(st.just("advance"), st.sampled_from([0.5, 5.0, 40.0, 700.0]), st.just(0)),
        st.tuples(st.just("delete"), st.sampled_from([0.0, 3.0, 30.0]), st.just(0)),
        st.tuples(st.just("restart of the agent"), st.just(""), st.just(0)),
    ),
    max_size=25,
)


@given(EVENTS, st.sampled_from(["Always", "OnFailure", "Never"]))
@settings(max_examples=150, deadline=None)
def test_whatever_happens(events, policy):
    pod = make_pod(
        container("a"),
        container("b", lifecycle={"preStop": {"sleep": {"seconds": 1}}}),
        initContainers=[container("i"), sidecar("s")],
        restartPolicy=policy,
        activeDeadlineSeconds=5000,
    )
    world = World(pod).run()
    for kind, value, code in events:
        if kind == "exit":
            if value in world.running():
                world.exit(value, code)
        elif kind == "advance":
            world.advance(value)
        elif kind == "delete":
            world.delete(value)
        else:
            world.record = PodRecord.from_json(world.record.to_json())
            world.prepared = False
            world.run()
        assert len(set(world.started)) == len(world.started), "no attempt is used twice"
        names = [name for name, _ in world.started]
        if "a" in names:
            assert "s" in names
            assert names.index("i") < names.index("a")
        if world.record.over:
            assert world.running() == []
            assert world.phase() in {"Succeeded", "Failed"}
    world.delete(30)
    world.advance(31).advance(5).advance(5)
    assert world.record.over, "a deleted pod ends in time"


@pytest.mark.parametrize(
    ("pod", "name"),
    [
        (make_pod(restartPolicy="Never"), "c"),
        (make_pod(initContainers=[init("one")], restartPolicy="Never"), "one"),
        (make_pod(initContainers=[sidecar("side")]), "side"),
        (make_pod(ephemeralContainers=[container("debug")]), "debug"),
    ],
    ids=["app", "init", "sidecar", "ephemeral"],
)
def test_what_was_made_and_not_started_is_started(pod, name):
    world = World(pod)
    transitions.prepared(world.record, Sandbox(world.sandbox))
    world.made(name)
    world.run()
    assert world.started.count((name, 0)) == 1
    assert name in world.running()
    assert world.status()["phase"] == ("Pending" if name == "one" else "Running")


@pytest.mark.parametrize("sandbox", ["s0", None])
def test_what_was_made_for_another_sandbox_is_not_started(sandbox):
    """None: it is not remembered for which one."""
    world = World(make_pod(restartPolicy="Never"))
    world.record.sandbox = Sandbox(sandbox) if sandbox else None
    world.made("c")
    world.run()
    assert world.started == [("c", 1)]


def test_what_was_made_and_is_gone_is_made_again():
    world = World(make_pod(restartPolicy="Never"))
    world.made("c")
    assert transitions.container_lost(world.record.container("c"), world.now)
    world.run()
    assert world.started == [("c", 1)]


def test_a_start_that_fails_waits_its_time_also_when_a_list_has_shown_what_was_made():
    world = World(make_pod())
    world.sandbox_is_there()
    transitions.could_not_start(world.record.container("c"), "RunContainerError", "busy", world.now)
    world.made("c")
    world.run()
    assert world.started == []
    assert world.state() == {"waiting": {"reason": "RunContainerError", "message": "busy"}}
    world.to_wake()
    assert world.started == [("c", 0)]
    world.exit(code=1).exit(code=1)
    assert world.state()["waiting"]["reason"] == "CrashLoopBackOff"


def test_a_sidecar_that_an_agent_without_records_finds_holds_up_nothing():
    world = World(make_pod(initContainers=[sidecar("side"), init("one")]))
    world.found("side")
    world.run()
    assert world.started == [("one", 0)]
    world.exit("one")
    assert world.running() == ["c", "side"]
