"""The engine's pure parts as tables."""

from __future__ import annotations

import pytest

from virtual_kubelet.errors import (
    ConfigError,
    Conflict,
    InvalidInput,
    NotFound,
    NotSupported,
    ProviderError,
    Unauthorized,
    Unavailable,
)
from virtual_kubelet.podruntime.driver import CREATED, EXITED, RUNNING
from virtual_kubelet.providers.engine import (
    dialect,
    dns,
    failures,
    labels,
    limits,
    references,
    security,
    states,
    usage,
)
from virtual_kubelet.providers.engine.endpoint import TlsFiles, discover, parse

FAILURES = [
    (404, b"No such container: x\n", NotFound, "No such container: x"),
    (404, b'{"cause":"no such image","message":"no such image: x: image not known","response":404}', NotFound, "no such image: x: image not known"),
    (409, b'{"message":"Conflict. The container name is already in use"}', Conflict, "Conflict."),
    (500, b'{"message":"container create: the container name \\"x\\" is already in use by 1","response":500}', Conflict, "already"),
    (500, b'{"message":"can only kill running containers. x is in state exited"}', Conflict, "can only kill"),
    (500, b"Container abc is not running", Conflict, "is not running"),
    (500, b"no such container", NotFound, "no such container"),
    (500, b"boom", ProviderError, "boom"),
    (400, b'{"message":"bad parameter"}', InvalidInput, "bad"),
    (401, b"", Unauthorized, "GET /x: the engine answered 401"),
    (429, b"slow", Unavailable, "slow"),
    (503, b"", Unavailable, "503"),
    (501, b"", NotSupported, "501"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "text"), FAILURES)
def test_failures_of_all_engines(status, body, kind, text):
    error = failures.failure(status, body, "GET /x")
    assert type(error) is kind
    assert text in str(error)


PODMAN = {"Api-Version": "1.41", "Libpod-Api-Version": "4.3.1", "Server": "Libpod/4.3.1 (linux)"}


@pytest.mark.parametrize(
    ("headers", "fixed", "kind", "version", "api"),
    [
        (PODMAN, "", "podman", "4.3.1", "1.41"),
        ({"Api-Version": "1.52", "Server": "Docker/29.1.0 (linux)"}, "", "docker", "29.1.0", "1.47"),
        ({"Server": "BaseHTTP/0.6 Python/3.12"}, "1.23", "docker", "", "1.23"),
        ({"Api-Version": "1.52"}, "1.44", "docker", "", "1.44"),
        ({}, "1.23", "docker", "", "1.23"),
        ({}, "", "docker", "", "1.23"),
    ],
)
def test_who_answers(headers, fixed, kind, version, api):
    engine = dialect.negotiate(headers, fixed)
    assert (engine.kind, engine.version, engine.api) == (kind, version, api)
    assert engine.is_podman == (kind == "podman")


def test_an_engine_that_is_too_old():
    with pytest.raises(Unavailable, match="1.23 is the oldest"):
        dialect.negotiate({"Api-Version": "1.18"})


def test_what_came_with_which_version():
    assert dialect.Engine("docker", "", "1.41").speaks((1, 41))
    assert not dialect.Engine("docker", "", "1.23").speaks((1, 24))


def test_filters_in_both_spellings():
    assert dialect.label_filter({"a": "b"}, "1.23") == {"label": {"a=b": True}}
    assert dialect.label_filter({"a": "b"}, "1.41") == {"label": ["a=b"]}


ADDRESSES = [
    ("unix:///run/x.sock", None, "unix:///run/x.sock", "http+unix://engine"),
    ("tcp://h", None, "tcp://h:2375", "http://h:2375"),
    ("tcp://h:1", TlsFiles(), "tcp://h:1", "https://h:1"),
    ("https://h", None, "tcp://h:2376", "https://h:2376"),
    ("http://[::1]:5", TlsFiles(), "tcp://::1:5", "http://[::1]:5"),
]


@pytest.mark.parametrize(("text", "tls", "name", "url"), ADDRESSES)
def test_addresses(text, tls, name, url):
    endpoint = parse(text, tls)
    assert (str(endpoint), endpoint.base_url) == (name, url)


@pytest.mark.parametrize("text", ["ssh://h", "unix://x", "h:1", "", "tcp://h:99999", "tcp://"])
def test_what_is_no_address(text):
    with pytest.raises(ConfigError):
        parse(text)


def test_no_engine_found_names_what_was_looked_for(tmp_path):
    with pytest.raises(ConfigError, match=f"{tmp_path}/docker.sock"):
        discover({"XDG_RUNTIME_DIR": str(tmp_path)}, ("{runtime}/docker.sock",))


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("nginx", "docker.io", "library/nginx", "latest"),
        ("me/app:1", "docker.io", "me/app", "1"),
        ("docker.io/nginx", "docker.io", "library/nginx", "latest"),
        ("localhost/x:2", "localhost", "x", "2"),
        ("r.example.com:5000/a/b", "r.example.com:5000", "a/b", "latest"),
        ("r.io/a@sha256:" + "0" * 64, "r.io", "a", "sha256:" + "0" * 64),
    ],
)
def test_names_of_images(text, registry, repository, tag):
    reference = references.parse(text)
    assert (reference.registry, reference.repository, reference.pull_tag) == (registry, repository, tag)


@pytest.mark.parametrize("text", ["", "Upper", "a b", "x:", "x@sha256:short", "https://x/y"])
def test_what_is_no_image(text):
    with pytest.raises(ValueError, match="invalid reference"):
        references.parse(text)


def secret(*servers):
    return {"auths": {server: {"username": server, "password": "p"} for server in servers}}


@pytest.mark.parametrize(
    ("image", "servers", "found"),
    [
        ("nginx", ["https://index.docker.io/v1/", "r.io"], ["https://index.docker.io/v1/"]),
        ("r.io/a/b", ["r.io", "r.io/a", "r.io/c", "x.io"], ["r.io/a", "r.io"]),
        ("a.r.io/x", ["*.r.io", "r.io"], ["*.r.io"]),
        ("r.io/ab", ["r.io/a"], []),
        ("r.io:5000/x", ["r.io", "r.io:5000"], ["r.io:5000"]),
    ],
)
def test_which_credentials_fit(image, servers, found):
    auths = references.credentials_for(references.parse(image), [secret(*servers)])
    assert [auth["username"] for auth in auths] == found


def test_credentials_in_the_older_shape_and_encoded():
    old = {"r.io": {"auth": "dTpwOnc="}, "broken": {"auth": "%"}, "odd": 1}
    (auth,) = references.credentials_for(references.parse("r.io/x"), [old])
    assert (auth["username"], auth["password"]) == ("u", "p:w")


def inspected(**state):
    return {
        "Id": "i",
        "Image": "sha256:x",
        "Config": {
            "Labels": {labels.UID: "u", labels.ATTEMPT: "2", labels.CONTAINER_NAME: "c"},
            "Image": "img",
        },
        "State": {"StartedAt": "2026-01-02T03:04:05.5Z", "FinishedAt": "0001-01-01T00:00:00Z", **state},
        "NetworkSettings": {"IPAddress": "", "Networks": {"podman": {"IPAddress": "10.0.0.1"}}},
    }


@pytest.mark.parametrize(
    ("state", "kind", "code", "reason"),
    [
        ({"Status": "created", "ExitCode": 0}, CREATED, 0, ""),
        ({"Status": "created", "ExitCode": 127, "Error": "no"}, EXITED, 127, "ContainerCannotRun"),
        ({"Status": "running"}, RUNNING, 0, ""),
        ({"Status": "paused"}, RUNNING, 0, ""),
        ({"Status": "exited", "ExitCode": 3}, EXITED, 3, ""),
        ({"Status": "exited", "ExitCode": 137, "OOMKilled": True}, EXITED, 137, "OOMKilled"),
        ({"Status": "dead", "ExitCode": 1, "Dead": True}, EXITED, 1, "ContainerDead"),
        ({"Status": "removing", "ExitCode": 0}, EXITED, 137, ""),
        ({"Status": "dead", "ExitCode": 0, "Dead": True}, EXITED, 137, "ContainerDead"),
        ({"Running": True}, RUNNING, 0, ""),
        ({"ExitCode": 4}, EXITED, 4, ""),
        ({"StartedAt": "0001-01-01T00:00:00Z"}, CREATED, 0, ""),
    ],
)
def test_states(state, kind, code, reason):
    info = states.from_inspect(inspected(**state), own_address=True)
    assert (info.state, info.exit_code, info.reason, info.attempt) == (kind, code, reason, 2)
    assert info.ip == ("10.0.0.1" if kind == RUNNING else "")


@pytest.mark.parametrize(
    ("item", "state"),
    [
        ({"State": "running", "Status": ""}, RUNNING),
        ({"State": "", "Status": "Exit 0"}, EXITED),
        ({"Status": "Exited (3) 2 minutes ago"}, EXITED),
        ({"Status": "Up 3 hours (Paused)"}, RUNNING),
        ({"Status": "Created"}, CREATED),
        ({"State": None}, ""),
    ],
)
def test_states_of_a_list(item, state):
    assert states.listed_state(item) == state


def pod(**spec):
    return {"metadata": {"namespace": "ns", "name": "web", "uid": "u"}, "spec": {"containers": [], **spec}}


@pytest.mark.parametrize(
    ("spec", "servers", "search"),
    [
        ({}, ("10.0.0.1",), ("ns.svc.c.l", "svc.c.l", "c.l")),
        ({"dnsPolicy": "Default"}, (), ()),
        ({"hostNetwork": True}, (), ()),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, ("10.0.0.1",), ("ns.svc.c.l", "svc.c.l", "c.l")),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"]}}, ("9.9.9.9",), ()),
    ],
)  # fmt: skip
def test_dns(spec, servers, search):
    found = dns.pod_dns(pod(**spec), ("10.0.0.1",), "c.l")
    assert (found.servers, found.search) == (servers, search)


@pytest.mark.parametrize(
    ("user", "context", "found"),
    [("", {}, ""), ("app", {"runAsUser": 5}, "5"), ("7:8", {"runAsGroup": 9}, "7:9"), ("1000", {"runAsNonRoot": True}, "")],
)  # fmt: skip
def test_users(user, context, found):
    assert security.user_of(pod(), {"name": "c", "securityContext": context}, user) == found


@pytest.mark.parametrize(
    ("user", "context"), [("", {}), ("root", {}), ("app", {}), ("1000", {"runAsUser": 0})]
)
def test_root_where_it_must_not_be(user, context):
    with pytest.raises(InvalidInput):
        security.user_of(pod(), {"name": "c", "securityContext": {**context, "runAsNonRoot": True}}, user)


def test_a_privileged_container_is_not_confined_by_halves():
    context = {
        "privileged": True,
        "allowPrivilegeEscalation": False,
        "seccompProfile": {"type": "Localhost", "localhostProfile": "x"},
    }
    assert security.host_config(pod(), {"name": "c", "securityContext": context}, str) == {"Privileged": True}


def test_limits_by_the_kubelets_formulas():
    resources = {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "250m", "memory": "2Gi"}}
    container = {"name": "c", "resources": resources}
    config = limits.host_config(pod(containers=[container]), container, 4 * 1024**3)
    assert config == {
        "CpuShares": 102,
        "CpuPeriod": 100000,
        "CpuQuota": 25000,
        "Memory": 2 * 1024**3,
        "MemorySwap": 2 * 1024**3,
        "OomScoreAdj": 750,
    }
    plain = {"name": "c"}
    assert limits.host_config(pod(containers=[plain]), plain, 1) == {"CpuShares": 2, "OomScoreAdj": 1000}


def test_names_are_short_legal_and_of_one_attempt_only():
    values = {"pod": "a" * 253, "namespace": "n.s", "uid": "u", "container": "c", "attempt": "3"}
    name = labels.container_name(values)
    assert len(name) < 128
    assert name.replace("-", "").isalnum()
    others = [{**values, key: "9"} for key in values]
    assert len({name, *(labels.container_name(other) for other in others)}) == 6


@pytest.mark.parametrize(
    ("theirs", "ours", "mine"), [("", "c", True), ("c", "", True), ("c", "c", True), ("d", "c", False)]
)
def test_whose_something_is(theirs, ours, mine):
    assert labels.is_ours({labels.NODE: "n", labels.CLUSTER: theirs}, "n", ours) is mine
    assert not labels.is_ours({labels.NODE: "other", labels.CLUSTER: theirs}, "n", ours)


def test_usage_is_a_working_set_and_a_rate():
    answer = {
        "read": "2026-01-02T03:04:05Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 2_000_000_000}},
        "memory_stats": {"usage": 1000, "stats": {"inactive_file": 300, "anon": 500}},
    }
    first = usage.from_stats("i", answer, 0)
    assert (first.memory_bytes, first.rss_bytes, first.cpu_seconds) == (700, 500, 2.0)
    answer |= {"read": "2026-01-02T03:04:15Z", "cpu_stats": {"cpu_usage": {"total_usage": 7_000_000_000}}}
    assert usage.with_rate(usage.from_stats("i", answer, 0), first).cpu_cores == 0.5
    assert usage.from_stats("i", {"memory_stats": {}}, 0) is None
