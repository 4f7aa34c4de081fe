"""The chart, rendered: it is what Kubernetes takes, its values are checked, and the agent takes the flags."""

from __future__ import annotations

import base64
import subprocess
import sys

import jsonschema
import pytest
import yaml
from support.chart import (
    CASES,
    CHART,
    DEFAULTS,
    EVERYTHING,
    FILE_0_1,
    FILE_0_5,
    FILE_ACI,
    ORIGINAL,
    ROOT,
    SCHEMA,
    agent,
    objects,
    settings,
)

from helm_template import ChartError, merged  # isort: skip - support.chart says where it is


@pytest.mark.parametrize("name", CASES)
def test_values_fit_the_schema_and_objects_are_whole(name):
    jsonschema.Draft7Validator(SCHEMA).validate(merged(DEFAULTS, CASES[name]))
    for (kind, _), item in objects(CASES[name]).items():
        assert item["apiVersion"], kind
        if "Cluster" not in kind:
            assert item["metadata"]["namespace"], kind


def test_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_every_value_is_in_the_schema():
    def names(schema, values):
        for key, value in values.items():
            assert key in schema["properties"], key
            below = schema["properties"][key]
            if isinstance(value, dict) and "properties" in below:
                names(below, value)

    names(SCHEMA, DEFAULTS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": -1},
        {"replica": 2},
        {"taint": {"effect": "Sometimes"}},
        {"nodeName": "Not A Name"},
        {"env": {"azureRegion": "x"}},
        {"providerEnv": {"A": 1}},
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(DEFAULTS, wrong), SCHEMA)


@pytest.mark.parametrize("name", CASES)
def test_the_agent_takes_what_the_chart_gives_it(name):
    _, container = agent(CASES[name])
    made = settings(container)
    assert made.node_ip == "10.0.0.9"
    assert made.metrics_addr == "10.0.0.9:10255"
    assert made.node_name == ("aci-conn" if name == "original" else "vk-0")
    assert made.provider == {"defaults": "mock", "everything": "acme", "file 0.1": "mock"}.get(name, "azure")


def test_values_of_the_original_chart():
    made = objects(ORIGINAL)
    _, container = agent(ORIGINAL)
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["AZURE_CLIENT_ID"] == "client"
    assert environment["ACI_RESOURCE_GROUP"] == "group"
    assert settings(container).taints[0].key == "azure.com/aci"
    assert made["Secret", "aci-conn-env"]["stringData"] == {"AZURE_CLIENT_SECRET": "hush"}
    assert "hush" not in yaml.safe_dump(container)


def test_whole_files_of_the_original_charts_mean_what_they_meant():
    assert not [kind for kind, _ in objects(FILE_0_1) if kind in {"ServiceAccount", "ClusterRole"}]
    stateful, container = agent(FILE_0_1)
    assert stateful["spec"]["template"]["spec"]["serviceAccountName"] == "default"
    assert settings(agent(FILE_0_5)[1]).taints[0].value == "azure"
    _, container = agent(FILE_ACI)
    assert container["image"] == "registry.example/ours/agent:1"
    assert {"name": "ENABLE_REAL_TIME_METRICS", "value": "true"} in container["env"]


def test_a_certificate_may_be_base64_as_for_the_original_chart():
    pem = "-----BEGIN\nabc\n-----END\n"
    encoded = base64.encodebytes(pem.encode()).decode()
    made = objects({"env": {"apiserverCert": encoded, "apiserverKey": encoded}})
    assert made["Secret", "virtual-kubelet"]["stringData"] == {"cert.pem": pem, "key.pem": pem}
    assert objects({"apiserverCert": pem, "apiserverKey": pem}).keys() == made.keys()


def test_replicas_are_nodes_of_their_own():
    stateful, container = agent(EVERYTHING)
    assert stateful["spec"]["replicas"] == 3
    assert {"name": "VKUBELET_NODENAME", "value": "$(POD_NAME)"} in container["env"]
    with pytest.raises(ChartError, match="replicas"):
        objects({**ORIGINAL, "replicas": 2})


def test_secrets_are_kept_as_they_are():
    made = objects(EVERYTHING)
    assert made["Secret", "virtual-kubelet"]["stringData"]["provider.toml"] == 'a = "1"\nb = 2\n'
    assert made["Secret", "virtual-kubelet-env"]["stringData"]["TOKEN"] == "hush: #1"


def test_the_pod_is_unprivileged():
    stateful, container = agent({})
    assert stateful["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_process_provider_does_not_belong_into_a_pod():
    with pytest.raises(ChartError, match="machine"):
        objects({"provider": "process"})


def test_plain_manifests_are_up_to_date():
    result = subprocess.run(
        [sys.executable, ROOT / "scripts" / "render-deploy", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_chart_and_package_have_one_version():
    from virtual_kubelet.version import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
