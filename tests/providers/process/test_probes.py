"""Probes and hooks on real processes."""

from __future__ import annotations

import textwrap

import pytest
from support.pods import OFTEN
from support.process_pods import container, free_port, make_pod, running_node
from support.waiting import eventually


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with running_node(tmp_path_factory.mktemp("probes")) as node:
        yield node


def server(port, extra=""):
    """A container that answers HTTP: 200 on /ok, 500 elsewhere, and exits on /quit."""
    script = textwrap.dedent(f"""
        import http.server, os
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path.startswith('/ok') else 500)
                self.end_headers()
                self.wfile.write(self.headers.get('X-Say', '').encode())
            def log_message(self, *args): print(*args, flush=True)
        {extra}
        http.server.HTTPServer(('127.0.0.1', {port}), Handler).serve_forever()
    """)
    return ["python3", "-c", script]


def test_readiness_by_exec(node, tmp_path):
    flag = tmp_path / "ready"
    probe = {"exec": {"command": ["cat", str(flag)]}, **OFTEN, "failureThreshold": 1}
    pod = node.run(make_pod(container(readinessProbe=probe)))
    node.wait_state(pod, "running")
    assert node.containers(pod)["c"]["ready"] is False
    assert node.containers(pod)["c"]["started"] is True
    eventually(
        lambda: any(
            item[2] == "Unhealthy" and item[3].startswith("Readiness probe failed: cat: ")
            for item in node.context.events
        )
    )
    flag.touch()
    eventually(lambda: node.containers(pod)["c"]["ready"])
    flag.unlink()
    eventually(lambda: not node.containers(pod)["c"]["ready"])
    node.delete(pod, 0)


def test_readiness_by_http_and_tcp(node):
    port = free_port()
    item = container(
        name="web",
        ports=[{"name": "http", "containerPort": port}],
        readinessProbe={
            "httpGet": {"path": "/ok", "port": "http", "httpHeaders": [{"name": "X-Say", "value": "hi"}]},
            **OFTEN,
        },
        startupProbe={"tcpSocket": {"port": port}, **OFTEN, "failureThreshold": 30},
    )
    item["command"] = server(port)
    pod = node.run(make_pod(item))
    eventually(lambda: node.containers(pod).get("web", {}).get("ready"))
    eventually(lambda: "GET /ok HTTP/1.1" in node.logs(pod, "web"))
    node.delete(pod, 0)


def test_a_failed_liveness_probe_restarts_the_container(node):
    port = free_port()
    item = container(
        startupProbe={"tcpSocket": {"port": port}, **OFTEN, "failureThreshold": 30},
        livenessProbe={
            "httpGet": {"path": "/bad", "port": port},
            **OFTEN,
            "failureThreshold": 1,
            "initialDelaySeconds": 1,
        },
    )
    item["command"] = server(port)
    pod = node.run(make_pod(item, name="sick", restartPolicy="Always", terminationGracePeriodSeconds=1))
    eventually(lambda: node.containers(pod).get("c", {}).get("restartCount") == 1)
    messages = [item[3] for item in node.context.events if item[0] == "sick"]
    assert "Liveness probe failed: HTTP probe failed with statuscode: 500" in messages
    assert "Container c failed liveness probe, will be restarted" in messages
    node.delete(pod, 0)


def test_liveness_waits_for_startup_and_its_failure_restarts(node):
    item = container(
        startupProbe={"exec": {"command": ["false"]}, **OFTEN, "failureThreshold": 1},
        livenessProbe={"exec": {"command": ["false"]}, **OFTEN, "failureThreshold": 1},
    )
    pod = node.run(make_pod(item, name="slow", restartPolicy="OnFailure", terminationGracePeriodSeconds=1))
    eventually(lambda: node.containers(pod).get("c", {}).get("restartCount") == 1)
    kinds = {
        item[3].split()[0] for item in node.context.events if item[0] == "slow" and item[2] == "Unhealthy"
    }
    assert kinds == {"Startup"}
    node.delete(pod, 0)


def test_a_probe_that_takes_too_long_fails(node):
    probe = {
        "exec": {"command": ["sleep", "100"]},
        "periodSeconds": 1,
        "timeoutSeconds": 1,
        "failureThreshold": 1,
    }
    pod = node.run(make_pod(container(readinessProbe=probe), name="hangs"))
    eventually(lambda: any("timed out" in item[3] for item in node.context.events if item[0] == "hangs"))
    node.delete(pod, 0)


def test_post_start_holds_back_the_next_container(node, tmp_path):
    log = tmp_path / "order"
    hook = {"postStart": {"exec": {"command": ["sh", "-c", f"sleep 0.3; echo hook >> {log}"]}}}
    pod = node.run(
        make_pod(
            container(name="one", lifecycle=hook),
            container(f"echo two >> {log}; exec sleep 1000", name="two"),
        )
    )
    node.wait_state(pod, "running", "two")
    eventually(lambda: log.read_text().split() == ["hook", "two"])
    node.delete(pod, 0)


def test_a_failed_post_start_ends_the_container(node):
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo broken; exit 1"]}}}
    pod = node.run(make_pod(container(lifecycle=hook), name="hooked", terminationGracePeriodSeconds=1))
    node.wait_phase(pod, "Failed")
    assert "FailedPostStartHook" in node.context.reasons("hooked")
    node.delete(pod, 0)


def test_pre_stop_runs_before_the_signal(node, tmp_path):
    log = tmp_path / "order"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", f"sleep 0.2; echo hook >> {log}"]}}}
    script = f"trap 'echo term >> {log}; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    pod = node.run(make_pod(container(script, lifecycle=hook)))
    eventually(lambda: node.state(pod).get("running") and "up" in node.logs(pod))
    node.delete(pod, 30)
    node.wait_phase(pod, "Succeeded")
    assert log.read_text().split() == ["hook", "term"]


def test_a_sleeping_pre_stop_takes_no_longer_than_the_grace(node):
    script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
    pod = node.run(make_pod(container(script, lifecycle={"preStop": {"sleep": {"seconds": 1}}})))
    eventually(lambda: node.state(pod).get("running") and "up" in node.logs(pod))
    node.delete(pod, 30)
    node.wait_phase(pod, "Succeeded")


def test_an_http_hook(node):
    port = free_port()
    web = container(name="web")
    web["command"] = server(port)
    probe = {"tcpSocket": {"port": port}, **OFTEN, "failureThreshold": 30}
    web |= {"startupProbe": probe, "restartPolicy": "Always"}
    hook = {"preStop": {"httpGet": {"path": "/ok/stop", "port": port}}}
    pod = node.run(
        make_pod(container(lifecycle=hook), initContainers=[web], terminationGracePeriodSeconds=30)
    )
    node.wait_state(pod, "running")
    node.delete(pod, 30)
    eventually(lambda: "/ok/stop" in node.logs(pod, "web"))
    node.wait_phase(pod, "Failed")
