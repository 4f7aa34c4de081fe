from __future__ import annotations

import pytest
from support.lookups import FakeLookups, config_map, secret

from virtual_kubelet.errors import ApiForbidden
from virtual_kubelet.pure.environment import EnvironmentResolver, Facts
from virtual_kubelet.pure.problems import Problem

FACTS = Facts(pod_ips=("10.1.0.5",), host_ips=("192.0.2.1",), allocatable={"cpu": "8"})
LOOKUPS = FakeLookups(
    [config_map("m", {"A": "1", "B": "2", "C": "$(A)"}), config_map("odd", {"1x": "a", "..": "b", "ok": "c", "a b": "d"})],
    [secret("s", {"B": "secret-b", "TOKEN": "hunter2"}), secret("binary", {"key": b"\xff\xfe", "text": "t"})],
)  # fmt: skip


def resolve(container, *, lookups=LOOKUPS, facts=FACTS, **spec):
    pod = {
        "metadata": {"namespace": "ns", "name": "p", "uid": "u", "labels": {"l": "v"}},
        "spec": {"nodeName": "n", **spec},
    }
    return EnvironmentResolver(pod, lookups, facts).resolve({"name": "c", **container})


def config_key(name, source, key, **more):
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": source, "key": key, **more}}}


def secret_key(name, source, key, **more):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": source, "key": key, **more}}}


def field(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def literal(name, value):
    return {"name": name, "value": value}


CONFIG_MAP_M = {"configMapRef": {"name": "m"}}
SECRET_S = {"secretRef": {"name": "s"}}


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, {}),
        ({"env": None, "envFrom": None}, {}),
        ({"env": [literal("A", "1"), {"name": "B"}, {"name": "C", "value": None}, {"name": "D", "valueFrom": {}}]}, {"A": "1", "B": "", "C": "", "D": ""}),
        # references: only to what came before, the fetched text itself is left alone
        ({"env": [literal("A", "1"), literal("B", "$(A)$(C)$$(A)"), literal("C", "3")]}, {"A": "1", "B": "1$(C)$(A)", "C": "3"}),
        ({"envFrom": [CONFIG_MAP_M], "env": [literal("D", "$(C)")]}, {"A": "1", "B": "2", "C": "$(A)", "D": "$(A)"}),
        # later wins, and stands where it came last
        ({"env": [literal("A", "1"), literal("B", "2"), literal("A", "$(A)+")]}, {"B": "2", "A": "1+"}),
        ({"envFrom": [CONFIG_MAP_M, SECRET_S], "env": [literal("A", "own")]}, {"C": "$(A)", "B": "secret-b", "TOKEN": "hunter2", "A": "own"}),
        ({"envFrom": [SECRET_S, CONFIG_MAP_M]}, {"TOKEN": "hunter2", "A": "1", "B": "2", "C": "$(A)"}),
        ({"envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}, {"prefix": None, "secretRef": {"name": "s"}}]}, {"P_A": "1", "P_B": "2", "P_C": "$(A)", "B": "secret-b", "TOKEN": "hunter2"}),
        ({"envFrom": [{}]}, {}),
        # keys
        ({"env": [config_key("X", "m", "A"), secret_key("Y", "s", "TOKEN"), literal("Z", "$(X)-$(Y)")]}, {"X": "1", "Y": "hunter2", "Z": "1-hunter2"}),
        # a value beats a valueFrom
        ({"env": [{"name": "X", "value": "v", "valueFrom": {"fieldRef": {"fieldPath": "bogus"}}}]}, {"X": "v"}),
        # the pod itself
        ({"env": [field("N", "metadata.name"), field("L", "metadata.labels['l']"), field("IP", "status.podIP"), field("H", "status.hostIP"), literal("URL", "http://$(IP)/")]},
         {"N": "p", "L": "v", "IP": "10.1.0.5", "H": "192.0.2.1", "URL": "http://10.1.0.5/"}),
        ({"resources": {"limits": {"memory": "64Mi"}}, "env": [{"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}, {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
         {"M": "64", "C": "8"}),
    ],
)  # fmt: skip
def test_sources_and_their_order(container, expected):
    environment = resolve(container)
    assert environment.container == "c"
    assert environment.problems == environment.blocking == ()
    assert environment.deferred == frozenset()
    assert environment.variables == [literal(name, value) for name, value in expected.items()]
    assert environment.values == expected


@pytest.mark.parametrize(
    ("container", "secrets"),
    [
        ({"envFrom": [CONFIG_MAP_M]}, set()),
        ({"envFrom": [SECRET_S]}, {"B", "TOKEN"}),
        ({"envFrom": [SECRET_S, CONFIG_MAP_M]}, {"TOKEN"}),  # B is the ConfigMap's by now
        ({"env": [secret_key("Y", "s", "TOKEN"), literal("DSN", "x:$(Y)@h"), literal("Z", "$(DSN)"), literal("ESCAPED", "$$(Y)")]}, {"Y", "DSN", "Z"}),
        ({"env": [secret_key("Y", "s", "TOKEN"), literal("Y", "public")]}, set()),
    ],
)  # fmt: skip
def test_what_is_secret_stays_marked_through_references(container, secrets):
    assert resolve(container).secrets == secrets


def test_services_come_first():
    services = [
        {
            "metadata": {"namespace": "default", "name": "kubernetes"},
            "spec": {"clusterIP": "10.0.0.1", "ports": []},
        },
        {"metadata": {"namespace": "ns", "name": "web"}, "spec": {"clusterIP": "10.0.0.2", "ports": []}},
    ]
    container = {"env": [literal("WEB_SERVICE_HOST", "mine"), literal("K", "$(KUBERNETES_SERVICE_HOST)")]}
    environment = resolve(container, lookups=FakeLookups(services=services))
    assert list(environment.values.items()) == [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("WEB_SERVICE_HOST", "mine"),
        ("K", "10.0.0.1"),
    ]
    without = resolve(container, lookups=FakeLookups(services=services), enableServiceLinks=False)
    assert without.values == {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "WEB_SERVICE_HOST": "mine",
        "K": "10.0.0.1",
    }


def test_what_is_not_known_yet_stays_as_it_is_written():
    written = [
        field("IP", "status.podIP"),
        literal("URL", "http://$(IP):$(PORT)/$$(X)"),
        literal("AGAIN", "$(URL)"),
        literal("PORT", "80"),
        field("HOST", "status.hostIP"),
    ]
    environment = resolve({"env": written}, facts=Facts(host_ips=("192.0.2.1",)))
    assert environment.variables == [*written[:4], literal("HOST", "192.0.2.1")]
    assert environment.values == {"PORT": "80", "HOST": "192.0.2.1"}
    assert environment.deferred == {"IP", "URL", "AGAIN"}
    assert environment.problems == ()


def test_a_later_value_takes_the_place_of_one_that_is_not_known():
    environment = resolve(
        {"env": [field("IP", "status.podIP"), literal("IP", "1"), literal("X", "$(IP)")]}, facts=Facts()
    )
    assert environment.values == {"IP": "1", "X": "1"}
    assert environment.deferred == frozenset()


def problem(reason, message, *, blocking, error="", final=False):
    return Problem(reason, message, blocking, final=final, error=error, container="c")


@pytest.mark.parametrize(
    ("container", "problems"),
    [
        ({"envFrom": [{"configMapRef": {"name": "x"}}]}, [problem("MandatoryConfigMapNotFound", 'configmap "x" not found', blocking=True)]),
        ({"envFrom": [{"secretRef": {"name": "x", "optional": False}}]}, [problem("MandatorySecretNotFound", 'secret "x" not found', blocking=True)]),
        ({"envFrom": [{"configMapRef": {"name": "x", "optional": True}}]}, [problem("OptionalConfigMapNotFound", 'configmap "x" not found', blocking=False)]),
        ({"env": [config_key("V", "x", "k", optional=True)]}, [problem("OptionalConfigMapNotFound", 'skipping optional envvar "V": configmap "x" not found', blocking=False)]),
        ({"env": [secret_key("V", "x", "k")]}, [problem("MandatorySecretNotFound", 'secret "x" not found', blocking=True)]),
        ({"env": [config_key("V", "m", "k")]},
         [problem("MandatoryConfigMapKeyNotFound", 'key "k" does not exist in configmap "m"', blocking=True, error='configmap "m" doesn\'t contain the "k" key required by pod p')]),
        ({"env": [secret_key("V", "s", "k")]},
         [problem("MandatorySecretKeyNotFound", 'key "k" does not exist in secret "s"', blocking=True, error='secret "s" doesn\'t contain the "k" key required by pod p')]),
        ({"env": [config_key("V", "m", "k", optional=True)]},
         [problem("OptionalConfigMapKeyNotFound", 'skipping optional envvar "V": key "k" does not exist in configmap "m"', blocking=False)]),
        ({"env": [secret_key("V", "s", "k", optional=True)]},
         [problem("OptionalSecretKeyNotFound", 'skipping optional envvar "V": key "k" does not exist in secret "s"', blocking=False)]),
        ({"envFrom": [{"configMapRef": {"name": "odd"}}]},
         [problem("InvalidEnvironmentVariableNames", "keys [.., 1x, a b] from configmap ns/odd were skipped since they are invalid as environment variable names", blocking=False)]),
        ({"envFrom": [{"secretRef": {"name": "binary"}}]},
         [problem("InvalidEnvironmentVariableValues", "keys [key] from secret ns/binary were skipped since their values are not text", blocking=False)]),
        ({"env": [secret_key("V", "binary", "key")]},
         [problem("Failed", 'Error: environment variable "V": key "key" in secret "binary": the value is not UTF-8 text', blocking=True, error='environment variable "V": key "key" in secret "binary": the value is not UTF-8 text')]),
        ({"env": [field("V", "status.phase")]},
         [problem("Failed", 'Error: environment variable "V": unsupported fieldPath: status.phase', blocking=True, final=True, error='environment variable "V": unsupported fieldPath: status.phase')]),
        ({"env": [{"name": "V", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]},
         [problem("Failed", 'Error: environment variable "V": unsupported container resource : limits.gpu', blocking=True, final=True, error='environment variable "V": unsupported container resource : limits.gpu')]),
        ({"env": [{"name": "V", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}}]},
         [problem("Failed", 'Error: environment variable "V": fileKeyRef is not supported', blocking=True, final=True, error='environment variable "V": fileKeyRef is not supported')]),
        # all of them, in order
        ({"env": [config_key("V", "x", "k", optional=True), secret_key("W", "y", "k")]},
         [problem("OptionalConfigMapNotFound", 'skipping optional envvar "V": configmap "x" not found', blocking=False), problem("MandatorySecretNotFound", 'secret "y" not found', blocking=True)]),
    ],
)  # fmt: skip
def test_problems(container, problems):
    environment = resolve(container)
    assert list(environment.problems) == problems
    assert list(environment.blocking) == [one for one in problems if one.blocking]
    assert not environment.values.keys() & {"V", "W"}


def test_the_rest_of_a_source_with_bad_names_is_used():
    environment = resolve(
        {"envFrom": [{"configMapRef": {"name": "odd"}}, {"prefix": "P", "configMapRef": {"name": "odd"}}]}
    )
    assert environment.values == {"ok": "c", "Pok": "c", "P1x": "a", "P..": "b"}
    assert [one.message for one in environment.problems] == [
        "keys [.., 1x, a b] from configmap ns/odd were skipped since they are invalid as environment variable names",
        "keys [Pa b] from configmap ns/odd were skipped since they are invalid as environment variable names",
    ]


def test_an_optional_key_that_is_missing_leaves_what_was_there():
    environment = resolve({"envFrom": [CONFIG_MAP_M], "env": [config_key("A", "m", "gone", optional=True)]})
    assert environment.values["A"] == "1"


def test_no_problem_tells_a_secret():
    lookups = FakeLookups(secrets=[secret("s", {"K": b"hunter2\xff"})], failing={"t": ApiForbidden("no")})
    environment = resolve(
        {"env": [secret_key("V", "s", "K"), secret_key("W", "t", "K")], "envFrom": [SECRET_S]},
        lookups=lookups,
    )
    assert len(environment.problems) == 3
    assert "hunter2" not in str(environment.problems)
