"""Probes, readiness gates and lifecycle hooks, as the documentation of Kubernetes shows them."""

from __future__ import annotations

import json

import pytest
from support.example_site import PATIENCE
from support.pods import OFTEN
from support.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.slow]

WORK = [{"name": "work", "emptyDir": {}}]
WORK_MOUNT = [{"name": "work", "mountPath": "/vk-work"}]


def test_a_liveness_command(site):
    """The file is there for a while, then it is not: the container is killed and started again."""
    script = "touch /vk-work/healthy; sleep 2; rm -f /vk-work/healthy; exec sleep 600"
    probe = {"exec": {"command": ["cat", "/vk-work/healthy"]}, **OFTEN, "failureThreshold": 2}
    site.apply(
        site.pod(
            "liveness-exec",
            site.container(
                script, livenessProbe={**probe, "initialDelaySeconds": 1}, volumeMounts=WORK_MOUNT
            ),
            volumes=WORK,
            terminationGracePeriodSeconds=1,
        )
    )
    eventually(lambda: site.container_status("liveness-exec").get("restartCount"), PATIENCE)
    last = site.container_status("liveness-exec")["lastState"]["terminated"]
    # A signal ends a plain process; the first one of a container is killed when its grace is over.
    assert (last["exitCode"], last["reason"]) == (143 if site.kind == "process" else 137, "Error")
    site.tells("liveness-exec", "Unhealthy", "Liveness probe failed: cat:")
    site.tells("liveness-exec", "Killing", "Container main failed liveness probe, will be restarted")


def test_a_liveness_request_and_a_named_port(site):
    """An HTTP server that ceases to be well; the probe's port is given by its name."""
    port = site.port()
    script = f"mkdir -p /vk-work/site; echo ok > /vk-work/site/healthz; {site.web('/vk-work/site', port)}"
    site.apply(
        site.pod(
            "liveness-http",
            site.container(
                script,
                ports=[{"name": "liveness-port", "containerPort": port}],
                startupProbe={
                    "httpGet": {"path": "/healthz", "port": "liveness-port"},
                    **OFTEN,
                    "failureThreshold": 30,
                },
                livenessProbe={
                    "httpGet": {
                        "path": "/healthz",
                        "port": "liveness-port",
                        "httpHeaders": [{"name": "Custom-Header", "value": "Awesome"}],
                    },
                    **OFTEN,
                    "failureThreshold": 1,
                },
                volumeMounts=WORK_MOUNT,
            ),
            volumes=WORK,
            terminationGracePeriodSeconds=1,
        )
    )
    eventually(lambda: site.container_status("liveness-http").get("started"), PATIENCE)
    assert site.container_status("liveness-http")["restartCount"] == 0
    site.kube("exec", "liveness-http", "--", "rm", "/vk-work/site/healthz")
    eventually(lambda: site.container_status("liveness-http").get("restartCount"), PATIENCE)
    failed = ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404")
    eventually(lambda: failed in site.events("liveness-http"), PATIENCE)


def test_sockets_for_readiness_and_liveness(site):
    """The port is opened late: not ready until then, and never killed."""
    port = site.port()
    socket = {"tcpSocket": {"port": port}, **OFTEN}
    script = f"until [ -e /vk-work/open ]; do sleep 0.1; done; {site.web('/vk-work', port)}"
    site.apply(
        site.pod(
            "goproxy",
            site.container(
                script,
                ports=[{"containerPort": port}],
                readinessProbe=socket,
                livenessProbe={**socket, "initialDelaySeconds": 60},
                volumeMounts=WORK_MOUNT,
            ),
            volumes=WORK,
        )
    )
    eventually(lambda: any(r == "Unhealthy" for r, _ in site.events("goproxy")), PATIENCE)
    assert site.column("goproxy") == ("0/1", "Running", "0")
    assert site.condition("goproxy", "Ready")["reason"] == "ContainersNotReady"
    message = next(m for r, m in site.events("goproxy") if r == "Unhealthy")
    assert message.startswith("Readiness probe failed: dial tcp ")
    assert message.endswith(f":{port}: connect: connection refused")
    site.kube("exec", "goproxy", "--", "touch", "/vk-work/open")
    site.is_ready("goproxy")
    assert site.column("goproxy") == ("1/1", "Running", "0")


def test_a_slow_starter(site):
    """The startup probe gives it time; liveness, which would kill it, waits."""
    check = {"exec": {"command": ["test", "-e", "/vk-work/up"]}, **OFTEN}
    site.apply(
        site.pod(
            "slow",
            site.container(
                "until [ -e /vk-work/up ]; do sleep 0.1; done; exec sleep 600",
                startupProbe={**check, "failureThreshold": 60},
                livenessProbe={**check, "failureThreshold": 1},
                volumeMounts=WORK_MOUNT,
            ),
            volumes=WORK,
        )
    )
    eventually(lambda: "running" in site.container_status("slow").get("state", {}), PATIENCE)
    assert (site.container_status("slow")["started"], site.column("slow")[0]) == (False, "0/1")
    site.tells("slow", "Unhealthy", "Startup probe failed")
    site.kube("exec", "slow", "--", "touch", "/vk-work/up")
    site.is_ready("slow")
    assert site.container_status("slow")["started"] is True
    assert site.column("slow") == ("1/1", "Running", "0")


def test_a_probes_own_grace_period(site):
    """The pod would give an hour; the failed probe gives a second."""
    probe = {
        "exec": {"command": ["false"]},
        **OFTEN,
        "failureThreshold": 1,
        "terminationGracePeriodSeconds": 1,
    }
    site.apply(
        site.pod(
            "patient",
            site.container("trap '' TERM; while :; do sleep 0.1; done", livenessProbe=probe),
            terminationGracePeriodSeconds=3600,
        )
    )
    eventually(lambda: site.container_status("patient").get("restartCount"), PATIENCE)
    site.kube("delete", "pod", "patient", "--grace-period=1", "--timeout=60s")


def test_readiness_gates(site):
    """The pod is ready when its containers are and others have said so, too."""
    gate = "www.example.com/feature-1"
    site.apply(site.pod("gated", site.container("exec sleep 600"), readinessGates=[{"conditionType": gate}]))
    site.kube("wait", "--for=condition=ContainersReady", "pod/gated", "--timeout=60s")
    ready = site.condition("gated", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
    assert ready["message"] == f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    body = {"status": {"conditions": [{"type": gate, "status": "True"}]}}
    site.kube("patch", "pod", "gated", "--subresource=status", "--type=strategic", "-p", json.dumps(body))
    site.is_ready("gated")
    assert site.condition("gated", gate)["status"] == "True"


def test_lifecycle_hooks(site):
    """The handler of postStart has written a message; that of preStop is run before the container ends."""
    scratch = [{"name": "scratch", "mountPath": "/usr/share/demo"}]
    hooks = {
        "postStart": {
            "exec": {
                "command": ["sh", "-c", "echo Hello from the postStart handler > /usr/share/demo/message"]
            }
        },
        "preStop": {"exec": {"command": ["sh", "-c", "echo graceful > /usr/share/demo/goodbye; sleep 1"]}},
    }
    site.apply(
        site.pod(
            "lifecycle-demo",
            site.container(
                "trap 'cat /usr/share/demo/goodbye > /usr/share/demo/last; exit 0' TERM; echo up;"
                " while :; do sleep 0.1; done",
                lifecycle=hooks,
                volumeMounts=scratch,
            ),
            volumes=[{"name": "scratch", "hostPath": {"path": str(site.scratch), "type": "Directory"}}],
            terminationGracePeriodSeconds=30,
        )
    )
    site.is_ready("lifecycle-demo")
    show = ("exec", "lifecycle-demo", "--", "cat", "/usr/share/demo/message")
    eventually(lambda: site.kube.run(*show).stdout == "Hello from the postStart handler\n", PATIENCE)
    eventually(lambda: "up" in site.kube("logs", "lifecycle-demo"), PATIENCE)
    site.kube("delete", "pod", "lifecycle-demo", "--timeout=60s")
    assert (site.scratch / "last").read_text() == "graceful\n"


def test_a_hook_that_sleeps_and_one_that_fails(site):
    site.apply(
        site.pod(
            "sleepy",
            site.container("exec sleep 600", lifecycle={"preStop": {"sleep": {"seconds": 8}}}),
            terminationGracePeriodSeconds=10,
        ),
        site.pod(
            "broken",
            site.container("exec sleep 600", lifecycle={"postStart": {"exec": {"command": ["false"]}}}),
            terminationGracePeriodSeconds=1,
        ),
    )
    site.is_ready("sleepy")
    eventually(lambda: site.container_status("broken").get("restartCount"), PATIENCE)
    site.tells("broken", "FailedPostStartHook", "")
    site.tells("broken", "Killing", "Container main failed postStart hook")
    deleting = site.kube.start("delete", "pod", "sleepy", "--timeout=60s")
    eventually(lambda: site.column("sleepy")[1] == "Terminating", PATIENCE)
    assert "running" in site.container_status("sleepy")["state"]
    deleting.communicate(timeout=PATIENCE)
    assert deleting.returncode == 0
