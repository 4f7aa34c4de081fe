from __future__ import annotations

import pytest

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.providers.azure.probes import translate

CONTAINER = {"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}
PATH = "spec.containers[0].livenessProbe"


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (
            {"exec": {"command": ["cat", "/x"]}, "periodSeconds": 5, "initialDelaySeconds": 0},
            {"exec": {"command": ["cat", "/x"]}, "periodSeconds": 5, "initialDelaySeconds": 0},
        ),
        ({"httpGet": {"port": 80}}, {"httpGet": {"path": "/", "port": 80, "scheme": "http"}}),
        (
            {
                "httpGet": {
                    "path": "/ok",
                    "port": "web",
                    "scheme": "HTTPS",
                    "httpHeaders": [{"name": "Host", "value": "x"}],
                },
                "failureThreshold": 3,
                "successThreshold": 1,
                "timeoutSeconds": 2,
            },
            {
                "httpGet": {
                    "path": "/ok",
                    "port": 8080,
                    "scheme": "https",
                    "httpHeaders": [{"name": "Host", "value": "x"}],
                },
                "failureThreshold": 3,
                "successThreshold": 1,
                "timeoutSeconds": 2,
            },
        ),
        ({"httpGet": {"port": "9090"}}, {"httpGet": {"path": "/", "port": 9090, "scheme": "http"}}),
    ],
)
def test_probes(probe, expected):
    assert translate(PATH, probe, CONTAINER) == expected


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (
            {"tcpSocket": {"port": 80}},
            f"{PATH}.tcpSocket: container groups have exec and httpGet probes only",
        ),
        ({"grpc": {"port": 80}}, f"{PATH}.grpc"),
        ({}, f"{PATH}: must have exactly one"),
        ({"exec": {}, "httpGet": {"port": 1}}, "exactly one"),
        ({"httpGet": {"port": "nope"}}, f'{PATH}.httpGet.port: the container has no port named "nope"'),
        ({"httpGet": {"port": 80, "host": "example"}}, f"{PATH}.httpGet.host"),
        ({"httpGet": {"port": 80}, "terminationGracePeriodSeconds": 3}, "terminationGracePeriodSeconds"),
    ],
)
def test_refusals(probe, words):
    with pytest.raises(InvalidInput) as caught:
        translate(PATH, probe, CONTAINER)
    assert words in str(caught.value)
