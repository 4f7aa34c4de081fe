"""The chart, rendered: it is what Kubernetes takes, its values are checked, and the agent takes the flags."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from virtual_kubelet.cli import options
from virtual_kubelet.cli.resolve import resolve

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "virtual-kubelet"
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from helm_template import ChartError, merged, render  # noqa: E402 - a script's module, found by the line above

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())

ORIGINAL = {
    "provider": "azure",
    "env": {
        "azureClientId": "client", "azureClientKey": "hush", "azureTenantId": "tenant", "aciRegion": "westus",
        "azureSubscriptionId": "subscription", "aciResourceGroup": "group", "nodeName": "aci-conn",
        "nodeOsType": "Linux", "nodeTaint": "azure.com/aci",
    },
}  # fmt: skip
EVERYTHING = {
    "replicas": 3,
    "provider": "acme",
    "providerConfig": 'a = "1"\nb = 2\n',
    "providerEnv": {"TOKEN": "hush: #1"},
    "existingProviderEnvSecret": "more",
    "nodeLabels": {"zone": "a"},
    "monitoredNamespace": "team",
    "rotateServerCertificates": True,
    "apiserverCert": "-----BEGIN\nabc\n-----END\n",
    "apiserverKey": "-----BEGIN\nkey\n-----END\n",
    "settings": {"kube-api-qps": 100, "not-ready-on-stop": True},
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccount": {"annotations": {"a/b": "c"}},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "podLabels": {"x": "y"},
    "podAnnotations": {"x": "y"},
    "priorityClassName": "high",
    "persistence": {"enabled": True, "storageClass": "fast"},
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "providers": {
        "azure": {
            "loganalytics": {"enabled": True, "workspaceId": "w", "workspaceKey": "hush"},
            "vnet": {"enabled": True, "vnetResourceGroup": "g", "vnetName": "n", "subnetCidr": "10.0.0.0/24"},
        }
    },
}
CASES = {"defaults": {}, "original": ORIGINAL, "everything": EVERYTHING}


def objects(values):
    found = {}
    for text in render(CHART, values, namespace="vk").values():
        for document in yaml.safe_load_all(text):
            if document:
                key = (document["kind"], document["metadata"]["name"])
                assert key not in found or document["metadata"].get("namespace") != "vk", key
                found[key] = document
    return found


def agent(values):
    """Return the pod's spec and its only container."""
    made = objects(values)
    (stateful,) = [item for (kind, _), item in made.items() if kind == "StatefulSet"]
    spec = stateful["spec"]["template"]["spec"]
    return stateful, spec["containers"][0]


def settings(container):
    """Return what the agent makes of the container's arguments and environment."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    options.add_to(parser)
    fields = {"POD_NAME": "vk-0", "POD_IP": "10.0.0.9"}
    environ = {"KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": "", "HOME": "/nonexistent"}
    for item in container["env"]:
        value = item.get("value", fields.get(item["name"], ""))
        environ[item["name"]] = value.replace("$(POD_NAME)", "vk-0").replace("$(POD_IP)", "10.0.0.9")
    words = [word.replace("$(POD_IP)", "10.0.0.9") for word in container["args"]]
    return resolve(vars(parser.parse_args(words)), environ, need_cluster=False).settings


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


def test_values_of_the_original_chart():
    made = objects(ORIGINAL)
    _, container = agent(ORIGINAL)
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["AZURE_CLIENT_ID"] == "client"
    assert environment["ACI_RESOURCE_GROUP"] == "group"
    assert settings(container).taints[0].key == "azure.com/aci"
    assert made["Secret", "aci-conn-env"]["stringData"] == {"AZURE_CLIENT_SECRET": "hush"}
    assert "hush" not in yaml.safe_dump(container)


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
