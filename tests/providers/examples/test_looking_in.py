"""Debug containers, events, refusals and rights, as the documentation of Kubernetes shows them."""

from __future__ import annotations

import pytest
from support.example_site import PATIENCE
from support.podman import IMAGE
from support.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_a_debug_container(site):
    """`kubectl debug` adds a container to a pod that runs, and shows what it writes."""
    site.apply(site.pod("ephemeral-demo", site.container("exec sleep 600")))
    site.is_ready("ephemeral-demo")
    command = ("--", "sh", "-c", "echo looking; sleep 1; exit 3")
    site.kube("debug", "ephemeral-demo", f"--image={IMAGE}", "-c", "debugger", "--target=main", *command)
    eventually(
        lambda: "terminated" in site.container_status("ephemeral-demo", "debugger").get("state", {}), PATIENCE
    )
    found = site.container_status("ephemeral-demo", "debugger")
    assert found["state"]["terminated"]["exitCode"] == 3
    assert (found["ready"], found["restartCount"]) == (False, 0)
    assert site.kube("logs", "ephemeral-demo", "-c", "debugger") == "looking\n"
    assert site.column("ephemeral-demo") == ("1/1", "Running", "0")
    assert "Ephemeral Containers:" in site.kube("describe", "pod", "ephemeral-demo")


def test_a_debug_container_that_one_talks_to(site):
    site.apply(site.pod("ephemeral-demo", site.container("exec sleep 600")))
    site.is_ready("ephemeral-demo")
    done = site.kube.run(
        "debug", "-i", "ephemeral-demo", f"--image={IMAGE}", "--", "sh",
        stdin="echo typed and answered\nexit\n",
    )  # fmt: skip
    assert "typed and answered" in done.stdout, done.stderr


def test_a_copy_of_a_pod_for_debugging(site):
    """The copy runs another command, so that what crashes at once can be looked at."""
    site.apply(site.pod("myapp", site.container("exit 1")))
    eventually(lambda: site.container_status("myapp").get("restartCount"), PATIENCE)
    site.kube(
        "debug", "myapp", "--copy-to=myapp-debug", "--container=main", "--", "sh", "-c", "exec sleep 600"
    )
    site.is_ready("myapp-debug")
    assert site.kube("exec", "myapp-debug", "--", "echo", "inside") == "inside\n"


def test_a_debug_container_sees_its_targets_processes(podman):
    podman.apply(podman.pod("target", podman.container("exec sleep 4242")))
    podman.is_ready("target")
    podman.kube(
        "debug", "target", f"--image={IMAGE}", "-c", "debugger", "--target=main", "--", "sh", "-c", "ps"
    )
    eventually(
        lambda: "terminated" in podman.container_status("target", "debugger").get("state", {}), PATIENCE
    )
    assert "sleep 4242" in podman.kube("logs", "target", "-c", "debugger")


def test_processes_of_a_pod_that_are_shared(podman):
    """shareProcessNamespace: one container sees, and signals, what the other runs."""
    podman.apply(
        podman.pod(
            "nginx",
            podman.container("exec sleep 4242", "nginx"),
            podman.container("exec sleep 600", "shell"),
            shareProcessNamespace=True,
        )
    )
    podman.is_ready("nginx")
    assert "sleep 4242" in podman.kube("exec", "nginx", "-c", "shell", "--", "ps")


def test_events_of_a_pods_life(site):
    site.apply(site.pod("told", site.container("trap 'exit 0' TERM; while :; do sleep 0.1; done")))
    site.is_ready("told")
    site.kube("delete", "pod", "told", "--timeout=60s")
    for wanted in (
        ("Created", "Created container: main"),
        ("Started", "Started container main"),
        ("Killing", "Stopping container main"),
    ):
        site.tells("told", *wanted)
    if site.kind == "podman":
        site.tells("told", "Pulled", f'Container image "{IMAGE}" already present on machine')


def test_events_of_images_that_cannot_be_had(podman):
    image = "127.0.0.1:1/nothing:1"
    podman.apply(
        podman.pod("pulls", {**podman.container("true"), "image": image, "imagePullPolicy": "Always"}),
        podman.pod("never", {**podman.container("true"), "image": image, "imagePullPolicy": "Never"}),
        podman.pod("odd", {**podman.container("true"), "image": "No Image"}),
    )
    eventually(lambda: podman.column("pulls")[1] == "ImagePullBackOff", PATIENCE)
    podman.tells("pulls", "Pulling", f'Pulling image "{image}"')
    podman.tells("pulls", "Failed", f'Failed to pull image "{image}": ')
    podman.tells("pulls", "Failed", "Error: ErrImagePull")
    podman.tells("pulls", "Failed", "Error: ImagePullBackOff")
    podman.tells("pulls", "BackOff", f'Back-off pulling image "{image}"')
    assert "trying and failing to pull image" in podman.kube.fails("logs", "pulls")
    eventually(lambda: podman.column("never")[1] == "ErrImageNeverPull", PATIENCE)
    podman.tells("never", "Failed", "Error: ErrImageNeverPull")
    eventually(lambda: podman.column("odd")[1] == "InvalidImageName", PATIENCE)
    podman.tells("odd", "InspectFailed", "")


def test_what_the_node_refuses(site):
    """What the scheduler does not look at, because the pods name their node."""
    site.kube("label", "node", "engine", "zone=here")
    site.kube("taint", "node", "engine", "broken=yes:NoExecute")
    tolerant = {"nodeName": "engine", "tolerations": [{"operator": "Exists"}]}
    much = {"resources": {"requests": {"cpu": "1000"}}}
    ours = site.container("exec sleep 600")
    site.kube("wait", "--for=jsonpath={.spec.taints[0].key}=broken", "node/engine")
    eventually(lambda: _refused_by_taint(site, ours), PATIENCE)
    site.apply(
        site.pod("huge", {**ours, **much}, **tolerant),
        site.pod("elsewhere", ours, nodeSelector={"zone": "there"}, **tolerant),
        site.pod("here", ours, nodeSelector={"zone": "here"}, **tolerant),
    )
    site.is_ready("here")
    for name, reason, words in (
        (
            "huge",
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: ",
        ),
        (
            "elsewhere",
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity",
        ),
    ):
        site.ends(name, "Failed")
        status = site.status(name)
        assert status["reason"] == reason
        assert status["message"].startswith(f"Pod was rejected: {words}")
        assert site.column(name)[1] == reason
        site.tells(name, reason, words)


def _refused_by_taint(site, container):
    """Tell whether a pod that tolerates nothing was refused: the node has heard of its taint then.

    Whether refused or taken in, the control plane evicts it.
    """
    site.apply(site.pod("intolerant", container, nodeName="engine"))
    site.kube("wait", "--for=delete", "pod/intolerant", "--timeout=60s")
    return any(reason == "TaintToleration" for reason, _ in site.events("intolerant"))


def test_who_a_container_is(podman):
    """The page on security contexts: user, group, and the group of the volumes."""
    context = {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000, "supplementalGroups": [4000]}
    podman.kube("create", "configmap", "words", "--from-literal=word=hello")
    podman.apply(
        podman.pod(
            "security-context-demo",
            podman.container(
                "id -u; id -g; id -G; echo hello > /data/demo/file; ls -ldn /data/demo | cut -c1-10;"
                " ls -ln /data/demo/file | tr -s ' ' | cut -d' ' -f3,4; ls -lnL /etc/words/word | tr -s ' ' | cut -d' ' -f1,4;"
                " cat /etc/words/word",
                securityContext={"allowPrivilegeEscalation": False},
                volumeMounts=[
                    {"name": "sec-ctx-vol", "mountPath": "/data/demo"},
                    {"name": "words", "mountPath": "/etc/words"},
                ],
            ),
            securityContext=context,
            restartPolicy="Never",
            volumes=[
                {"name": "sec-ctx-vol", "emptyDir": {}},
                {"name": "words", "configMap": {"name": "words", "defaultMode": 0o400}},
            ],
        )
    )
    podman.ends("security-context-demo")
    user, group, groups, directory, file, config, word = podman.kube(
        "logs", "security-context-demo"
    ).splitlines()
    assert (user, group) == ("1000", "3000")
    assert {"2000", "3000", "4000"} <= set(groups.split())
    assert directory == "drwxrwsrwx"
    assert file == "1000 2000"
    assert config == "-r--r----- 2000"
    assert word == "hello"


def test_root_where_the_pod_forbids_it(podman):
    podman.apply(podman.pod("rootless", podman.container("true"), securityContext={"runAsNonRoot": True}))
    eventually(lambda: podman.column("rootless")[1] == "CreateContainerConfigError", PATIENCE)
    message = podman.container_status("rootless")["state"]["waiting"]["message"]
    assert message == "container has runAsNonRoot and image will run as root"


def test_names_and_hosts(podman):
    """The page on hostAliases, and a pod's own name."""
    podman.apply(
        podman.pod(
            "hostaliases-pod",
            podman.container("hostname; cat /etc/hosts; cat /etc/resolv.conf"),
            restartPolicy="Never",
            hostname="busybox-1",
            subdomain="busybox-subdomain",
            hostAliases=[{"ip": "127.0.0.1", "hostnames": ["foo.local", "bar.local"]}],
            dnsPolicy="None",
            dnsConfig={"nameservers": ["192.0.2.1"], "searches": ["my.dns.search.suffix"],
                       "options": [{"name": "ndots", "value": "2"}]},
        )
    )  # fmt: skip
    podman.ends("hostaliases-pod")
    text = podman.kube("logs", "hostaliases-pod")
    lines = text.splitlines()
    assert lines[0] == "busybox-1"
    assert "# Kubernetes-managed hosts file." in lines
    assert "127.0.0.1\tfoo.local\tbar.local" in lines
    assert "busybox-1.busybox-subdomain.default.svc.cluster.local\tbusybox-1" in text
    assert "nameserver 192.0.2.1" in lines
    assert "search my.dns.search.suffix" in lines
    assert "options ndots:2" in lines


def test_a_volume_that_outgrows_its_limit(site):
    site.apply(
        site.pod(
            "fat",
            site.container(
                "head -c 3000000 /dev/zero > /data/file; exec sleep 600",
                volumeMounts=[{"name": "v", "mountPath": "/data"}],
            ),
            volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}],
            terminationGracePeriodSeconds=1,
        )
    )
    site.ends("fat", "Failed")
    status = site.status("fat")
    assert status["reason"] == "Evicted"
    assert 'EmptyDir volume "v" exceeds the limit "1Mi"' in status["message"]


def test_volumes_that_a_node_has_not(site):
    """A claim is refused by name, and the pod says so."""
    site.apply(
        site.pod(
            "claims",
            site.container("true", volumeMounts=[{"name": "v", "mountPath": "/data"}]),
            volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
            nodeName="engine",
        )
    )
    eventually(lambda: "waiting" in site.container_status("claims").get("state", {}), PATIENCE)
    text = 'volume "v" is a persistentVolumeClaim, which this node does not have'
    eventually(lambda: text in str(site.status("claims")), PATIENCE)
