"""Init containers, sidecars and restart policies, as the documentation of Kubernetes shows them."""

from __future__ import annotations

import json

import pytest
from support.example_site import PATIENCE
from support.pods import OFTEN
from support.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.slow]

GATE = [
    {
        "name": "gate",
        "projected": {
            "sources": [{"configMap": {"name": name, "optional": True}} for name in ("service", "database")]
        },
    }
]
GATE_MOUNT = [{"name": "gate", "mountPath": "/gate"}]


def waiting_for(site, key, name):
    script = f"until [ -e /gate/{key} ]; do echo waiting for {key}; sleep 0.2; done"
    return site.container(script, name, volumeMounts=GATE_MOUNT)


def test_init_containers_wait_for_what_the_app_needs(site):
    """The pod of the page on init containers: two of them wait, one after another."""
    site.apply(
        site.pod(
            "myapp-pod",
            site.container("echo The app is running! && exec sleep 3600", "myapp"),
            initContainers=[
                waiting_for(site, "myservice", "init-myservice"),
                waiting_for(site, "mydb", "init-mydb"),
            ],
            volumes=GATE,
        )
    )
    eventually(lambda: site.column("myapp-pod") == ("0/1", "Init:0/2", "0"), PATIENCE)
    eventually(lambda: "running" in site.container_status("myapp-pod", "init-myservice")["state"], PATIENCE)
    assert site.container_status("myapp-pod", "init-mydb")["state"]["waiting"]["reason"] == "PodInitializing"
    initialized = site.condition("myapp-pod", "Initialized")
    assert (initialized["status"], initialized["reason"]) == ("False", "ContainersNotInitialized")
    assert "[init-myservice init-mydb]" in initialized["message"]
    eventually(
        lambda: "waiting for myservice" in site.kube("logs", "myapp-pod", "-c", "init-myservice"), PATIENCE
    )
    error = site.kube.fails("logs", "myapp-pod", "-c", "myapp")
    assert 'container "myapp" in pod "myapp-pod" is waiting to start: PodInitializing' in error

    site.kube("create", "configmap", "service", "--from-literal=myservice=up")
    eventually(lambda: site.column("myapp-pod")[1] == "Init:1/2", PATIENCE)
    site.kube("create", "configmap", "database", "--from-literal=mydb=up")
    site.is_ready("myapp-pod")
    assert site.column("myapp-pod") == ("1/1", "Running", "0")
    eventually(lambda: site.kube("logs", "myapp-pod") == "The app is running!\n", PATIENCE)
    ended = site.container_status("myapp-pod", "init-mydb")
    assert ended["state"]["terminated"]["reason"] == "Completed"
    assert (ended["ready"], ended["started"]) == (True, False)
    for name in ("init-myservice", "init-mydb", "myapp"):
        site.tells("myapp-pod", "Created", f"Created container: {name}")
        site.tells("myapp-pod", "Started", f"Started container {name}")


def test_a_page_that_an_init_container_fetched(site):
    """An init container leaves a file in an emptyDir, which the app serves."""
    port = site.port()
    mounts = [{"name": "workdir", "mountPath": "/vk-work-dir"}]
    site.apply(
        site.pod(
            "init-demo",
            site.container(
                site.web("/vk-work-dir", port), "server", ports=[{"containerPort": port}], volumeMounts=mounts,
                readinessProbe={"httpGet": {"path": "/index.html", "port": port}, **OFTEN},
            ),
            initContainers=[
                site.container("echo welcome > /vk-work-dir/index.html", "install", volumeMounts=mounts)
            ],
            volumes=[{"name": "workdir", "emptyDir": {}}],
        )
    )  # fmt: skip
    site.is_ready("init-demo")
    assert site.kube("exec", "init-demo", "--", "cat", "/vk-work-dir/index.html") == "welcome\n"


def test_an_init_container_that_fails(site):
    site.apply(
        site.pod("again", site.container("exit 0"), initContainers=[site.container("exit 3", "init")]),
        site.pod(
            "never",
            site.container("exit 0"),
            initContainers=[site.container("exit 3", "init")],
            restartPolicy="Never",
        ),
    )
    site.ends("never", "Failed")
    assert site.column("never") == ("0/1", "Init:Error", "0")
    eventually(lambda: site.column("again")[1] in {"Init:Error", "Init:CrashLoopBackOff"}, PATIENCE)
    eventually(lambda: site.column("again")[1] == "Init:CrashLoopBackOff", PATIENCE)
    assert site.status("again")["phase"] == "Pending"


def test_a_sidecar_ships_the_log_of_a_job(site):
    """A pod that runs to completion has a sidecar: it starts first, and is ended when the work is done."""
    mounts = [{"name": "data", "mountPath": "/opt/logs"}]
    site.apply(
        site.pod(
            "myjob",
            site.container(
                "echo logging > /opt/logs/app.log; until [ -e /opt/logs/seen ]; do sleep 0.1; done",
                "myjob",
                volumeMounts=mounts,
            ),
            initContainers=[
                site.container(
                    "trap 'echo shipped; exit 0' TERM; until [ -e /opt/logs/app.log ]; do sleep 0.1; done;"
                    " until grep logging /opt/logs/app.log; do sleep 0.1; done; touch /opt/logs/seen;"
                    " while :; do sleep 0.1; done",
                    "logshipper",
                    restartPolicy="Always",
                    volumeMounts=mounts,
                )
            ],
            restartPolicy="Never",
            volumes=[{"name": "data", "emptyDir": {}}],
        )
    )
    site.ends("myjob")
    assert site.column("myjob") == ("0/2", "Completed", "0")
    assert site.kube("logs", "myjob", "-c", "logshipper") == "logging\nshipped\n"
    shipper = site.container_status("myjob", "logshipper")["state"]["terminated"]
    worker = site.container_status("myjob", "myjob")["state"]["terminated"]
    assert shipper["startedAt"] <= worker["startedAt"]
    assert shipper["finishedAt"] >= worker["finishedAt"]


def test_sidecars_start_in_order_and_end_in_reverse(site):
    """Each waits for the startup probe of the one before, and is ended after those that may need it."""
    journal = site.scratch / "journal"
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]

    def recorded(name):
        return (
            f"trap 'echo {name} ends >> /scratch/journal; exit 0' TERM; echo {name} begins >> /scratch/journal;"
            f" sleep 1; touch /scratch/{name}; while :; do sleep 0.1; done"
        )

    def probe(name):
        return {"exec": {"command": ["test", "-e", f"/scratch/{name}"]}, **OFTEN, "failureThreshold": 30}

    sidecars = [
        site.container(recorded(name), name, volumeMounts=mounts, startupProbe=probe(name))
        for name in ("first", "second")
    ]
    site.apply(
        site.pod(
            "meshed",
            site.container(recorded("app"), "app", volumeMounts=mounts),
            initContainers=[{**item, "restartPolicy": "Always"} for item in sidecars],
            volumes=[{"name": "scratch", "hostPath": {"path": str(site.scratch)}}],
            terminationGracePeriodSeconds=30,
        )
    )
    site.is_ready("meshed")
    assert site.column("meshed") == ("3/3", "Running", "0")
    eventually(lambda: len(journal.read_text().splitlines()) == 3, PATIENCE)
    eventually((site.scratch / "app").exists, PATIENCE)
    site.kube("delete", "pod", "meshed", "--timeout=60s")
    begun = ["first begins", "second begins", "app begins"]
    assert journal.read_text().splitlines() == [*begun, "app ends", "second ends", "first ends"]


@pytest.mark.parametrize(
    ("policy", "code", "phase", "shown", "restarts"),
    [
        ("Never", 0, "Succeeded", "Completed", 0),
        ("Never", 1, "Failed", "Error", 0),
        ("OnFailure", 0, "Succeeded", "Completed", 0),
        ("OnFailure", 1, "Running", "CrashLoopBackOff", 1),
        ("Always", 0, "Running", "CrashLoopBackOff", 1),
        ("Always", 1, "Running", "CrashLoopBackOff", 1),
    ],
)
def test_restart_policies(process, policy, code, phase, shown, restarts):
    _policy(process, policy, code, phase, shown, restarts)


@pytest.mark.parametrize(
    ("policy", "code", "phase", "shown", "restarts"),
    [
        ("Never", 1, "Failed", "Error", 0),
        ("OnFailure", 0, "Succeeded", "Completed", 0),
        ("Always", 0, "Running", "CrashLoopBackOff", 1),
    ],
)
def test_restart_policies_of_containers(podman, policy, code, phase, shown, restarts):
    _policy(podman, policy, code, phase, shown, restarts)


def _policy(site, policy, code, phase, shown, restarts):
    site.apply(site.pod("ends", site.container(f"echo bye; exit {code}"), restartPolicy=policy))
    eventually(lambda: site.column("ends")[1] == shown, PATIENCE)
    eventually(lambda: site.status("ends")["phase"] == phase, PATIENCE)
    found = site.container_status("ends")
    assert found["restartCount"] == restarts
    last = found["lastState" if restarts else "state"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (code, "Error" if code else "Completed")
    assert site.kube("logs", "ends") == "bye\n"
    if restarts:
        assert "back-off 10s restarting failed container=main" in found["state"]["waiting"]["message"]
        assert site.kube("logs", "ends", "--previous") == "bye\n"
        site.tells("ends", "BackOff", "Back-off restarting failed container main in pod ends_default(")


def test_restart_policies_of_single_containers(site):
    """A container may have a policy of its own, and rules about exit codes before it."""
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    once = "[ -e /vk-work/again ] && exit 0; touch /vk-work/again; exit 42"
    mounts = [{"name": "work", "mountPath": "/vk-work"}]
    site.apply(
        site.pod(
            "restart-on-exit-codes",
            site.container(
                once, "ruled", restartPolicy="Never", restartPolicyRules=rules, volumeMounts=mounts
            ),
            site.container("exit 3", "never", restartPolicy="Never"),
            site.container(
                "[ -e /vk-work/tried ] && exit 0; touch /vk-work/tried; exit 5",
                "failing",
                restartPolicy="OnFailure",
                volumeMounts=mounts,
            ),
            site.container("exec sleep 3600", "always"),
            volumes=[{"name": "work", "emptyDir": {}}],
        )
    )

    def code(name):
        found = site.container_status("restart-on-exit-codes", name)
        return found.get("restartCount"), found.get("state", {}).get("terminated", {}).get("exitCode")

    eventually(lambda: code("ruled") == (1, 0), PATIENCE)
    eventually(lambda: code("failing") == (1, 0), PATIENCE)
    eventually(lambda: code("never") == (0, 3), PATIENCE)
    last = site.container_status("restart-on-exit-codes", "ruled")["lastState"]["terminated"]
    assert last["exitCode"] == 42
    assert site.status("restart-on-exit-codes")["phase"] == "Running"


def test_a_container_that_has_its_pod_begin_anew(site):
    """RestartAllContainers: the init container runs a second time, the volumes are still there."""
    mounts = [{"name": "work", "mountPath": "/vk-work"}]
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}]
    watch = "[ $(wc -l < /vk-work/runs) -ge 2 ] && exec sleep 600; until [ -e /vk-work/up ]; do sleep 0.1; done; exit 88"
    site.apply(
        site.pod(
            "anew",
            site.container(
                watch, "watcher", restartPolicy="Never", restartPolicyRules=rules, volumeMounts=mounts
            ),
            site.container("touch /vk-work/up; exec sleep 600", "main", volumeMounts=mounts),
            initContainers=[site.container("echo run >> /vk-work/runs", "init", volumeMounts=mounts)],
            volumes=[{"name": "work", "emptyDir": {}}],
            terminationGracePeriodSeconds=1,
        )
    )
    eventually(lambda: site.container_status("anew", "init").get("restartCount") == 1, PATIENCE)
    site.is_ready("anew")
    counts = {name: site.container_status("anew", name)["restartCount"] for name in ("watcher", "main")}
    assert counts == {"watcher": 1, "main": 1}
    assert site.container_status("anew", "watcher")["lastState"]["terminated"]["exitCode"] == 88


def test_an_init_container_of_its_own_policy_fails_the_pod(site):
    """restartPolicy Never at an init container: its failure is the pod's, although the pod says Always."""
    site.apply(
        site.pod(
            "fail-pod-if-init-fails",
            site.container("exec sleep 3600"),
            initContainers=[site.container("exit 1", "init-once", restartPolicy="Never")],
            restartPolicy="Always",
        )
    )
    site.ends("fail-pod-if-init-fails", "Failed")
    assert site.container_status("fail-pod-if-init-fails", "init-once")["restartCount"] == 0


def test_the_active_deadline(site):
    site.apply(
        site.pod("late", site.container("exec sleep 3600"), activeDeadlineSeconds=2, restartPolicy="Never")
    )
    site.ends("late", "Failed")
    status = site.status("late")
    assert status["reason"] == "DeadlineExceeded"
    assert status["message"] == "Pod was active on the node longer than the specified deadline"


def test_messages_of_ended_containers(site):
    """A file that the container writes, one at another place, or the end of its log."""
    site.apply(
        site.pod(
            "termination-demo",
            site.container("echo Sleep expired > /dev/termination-log; exit 1", "file"),
            site.container("echo elsewhere > /tmp/my-log; exit 1", "path", terminationMessagePath="/tmp/my-log"),
            site.container("echo from the log; exit 1", "log", terminationMessagePolicy="FallbackToLogsOnError"),
            site.container("echo unsaid; exit 0", "well", terminationMessagePolicy="FallbackToLogsOnError"),
            restartPolicy="Never",
        )
    )  # fmt: skip
    site.ends("termination-demo", "Failed")
    statuses = site.status("termination-demo")["containerStatuses"]
    messages = {item["name"]: item["state"]["terminated"].get("message") for item in statuses}
    assert messages == {
        "file": "Sleep expired\n",
        "path": "elsewhere\n",
        "log": "from the log\n",
        "well": None,
    }


def test_what_kubectl_describes(site):
    """Conditions and numbers that kubectl and controllers read."""
    resources = {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    site.apply(site.pod("plain", site.container("exec sleep 3600", resources=resources)))
    site.is_ready("plain")
    status = site.status("plain")
    assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
        ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
    )
    assert all(c.get("lastTransitionTime") for c in status["conditions"])
    assert status["qosClass"] == "Burstable"
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]
    assert status["startTime"]
    assert status["observedGeneration"] == site.get("plain")["metadata"]["generation"]
    assert "Container ID" in site.kube("describe", "pod", "plain")
    assert json.loads(site.kube("get", "--raw", "/api/v1/namespaces/default/pods/plain/status"))
