"""A pod's decisions played through without threads or processes: time is a number, containers are a dict."""

from __future__ import annotations

from dataclasses import replace

from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.actions import (
    BackOff,
    BeginAnew,
    Fail,
    Initialized,
    KillContainer,
    Prepare,
    RestartAll,
    RunPostStart,
    RunPreStop,
    SignalContainer,
    StartContainer,
    StopContainer,
    TearDown,
    Terminate,
)
from virtual_kubelet.podruntime.containers import find
from virtual_kubelet.podruntime.decisions import decide
from virtual_kubelet.podruntime.driver import CREATED, EXITED, RUNNING, ContainerInfo, Sandbox
from virtual_kubelet.podruntime.pod_state import INNER
from virtual_kubelet.podruntime.record import PodRecord
from virtual_kubelet.podruntime.statuses import pod_status


def container(name="c", **fields):
    return {"name": name, "image": f"{name}:1", **fields}


def make_pod(*containers, **spec):
    return {
        "metadata": {"namespace": "default", "name": "web", "uid": "u"},
        "spec": {"restartPolicy": "Always", "containers": list(containers) or [container()], **spec},
    }


class World:
    """One pod, its record, and what "runs". Nothing ends by itself: tests say what ends, when and how."""

    def __init__(self, pod, now=1000.0):
        self.pod = pod
        self.now = now
        self.record = PodRecord("u", "default", "web", start_time=now)
        self.prepared = False
        self.log = []  # what was done, as text
        self.sandbox = "s1"
        self.wake_at = None
        self.started = []  # every attempt that was begun

    # what happens

    def run(self):
        """Look until there is nothing to do."""
        for _ in range(100):
            decision = decide(self.pod, self.record, self.now, prepared=self.prepared)
            self.wake_at = decision.wake_at
            if not decision.actions:
                return self
            inner = [item for item in decision.actions if isinstance(item, INNER)]
            for action in inner or decision.actions:
                self._do(action)
        raise AssertionError(f"no end of actions: {self.log[-10:]}")

    def advance(self, seconds):
        self.now += seconds
        return self.run()

    def to_wake(self):
        """Let time pass until the next look that was asked for."""
        assert self.wake_at is not None
        self.now = max(self.now, self.wake_at)
        return self.run()

    def exit(self, name="c", code=0, reason=""):
        info = self.info(name)
        assert info.state == RUNNING
        self._observe(replace(info, state=EXITED, exit_code=code, finished_at=self.now, reason=reason))
        return self.run()

    def made(self, name):
        """A container shows that was made and not started."""
        self._observe(self._info(name, 0, CREATED))

    def found(self, name):
        """A container shows that runs, and that no record knew."""
        self._observe(self._info(name, 0, RUNNING))

    def sandbox_is_there(self):
        transitions.prepared(self.record, Sandbox(self.sandbox, ("10.0.0.1",)))
        self.prepared = True

    def delete(self, grace=30.0):
        transitions.request_deletion(self.record, grace, self.now)
        return self.run()

    def hook_ended(self, name="c", *, post_start, failed=False):
        transitions.hook_ended(self.record.container(name), post_start=post_start, failed=failed)
        return self.run()

    # what is

    def info(self, name="c"):
        return self.record.container(name).info

    def running(self):
        return sorted(name for name, item in self.record.containers.items() if item.running)

    def status(self):
        return pod_status(self.pod, self.record, self.now, scheme="test")

    def phase(self):
        return self.status()["phase"]

    def state(self, name="c", kind="containerStatuses"):
        return next(item["state"] for item in self.status()[kind] if item["name"] == name)

    # doing

    def _observe(self, info):
        transitions.observe(self.record, find(self.pod, info.name), info, self.now)

    def _info(self, name, attempt, state):
        return ContainerInfo(
            id=f"{name}-{attempt}",
            uid="u",
            namespace="default",
            pod="web",
            name=name,
            attempt=attempt,
            state=state,
            started_at=self.now if state == RUNNING else 0.0,
            image=find(self.pod, name).container.get("image", ""),
        )

    def _do(self, action):
        record = self.record
        if isinstance(action, Prepare):
            self.sandbox_is_there()
        elif isinstance(action, StartContainer):
            assert not record.container(action.name).running
            self.log.append(f"start {action.name}")
            self.started.append((action.name, action.attempt))
            self._observe(self._info(action.name, action.attempt, RUNNING))
        elif isinstance(action, StopContainer):
            assert transitions.begin_stop(
                record.container(action.name),
                action.grace,
                action.reason,
                action.message,
                self.now,
                restart=action.restart,
            )
        elif isinstance(action, Terminate):
            transitions.begin_termination(record, action.cause, action.grace, self.now)
        elif isinstance(action, Fail):
            transitions.fail(record, action.reason, action.message)
        elif isinstance(action, Initialized):
            record.initialized = True
        elif isinstance(action, RestartAll):
            transitions.restart_all(record, action.name)
        elif isinstance(action, BeginAnew):
            transitions.begin_anew(record, action.names)
        elif isinstance(action, (RunPostStart, RunPreStop)):
            post_start = isinstance(action, RunPostStart)
            self.log.append(f"{'postStart' if post_start else 'preStop'} {action.name}")
            transitions.hook_started(record.container(action.name), post_start=post_start)
        elif isinstance(action, SignalContainer):
            self.log.append(f"signal {action.name}")
            transitions.signalled(record.container(action.name), self.now)
        elif isinstance(action, KillContainer):
            self.log.append(f"kill {action.name}")
            transitions.killed(record.container(action.name), self.now)
            info = self.info(action.name)
            self._observe(replace(info, state=EXITED, exit_code=137, signal=9, finished_at=self.now))
        elif isinstance(action, BackOff):
            self.log.append(f"back-off {action.name} {action.delay:g}")
            transitions.backoff_told(record.container(action.name))
        elif isinstance(action, TearDown):
            self.log.append("tear down")
            transitions.over(record)
