"""The chart, rendered by the project's own templater, and what the agent makes of the pod in it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import yaml

from virtual_kubelet.cli import options
from virtual_kubelet.cli.resolve import resolve

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "virtual-kubelet"
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from helm_template import render  # noqa: E402 - a script's module, found by the line above

HELM = os.environ.get("HELM") or shutil.which("helm") or str(ROOT / ".cache" / "helm" / "helm")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())

# The values of the original chart 0.1, which knew one provider.
ORIGINAL = {
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
# Whole files of values, as users of the original charts have them: every key that was there, most of them unset.
FILE_0_1 = {
    "image": {"pullPolicy": "Always"},
    "env": {**dict.fromkeys((*ORIGINAL["env"], "apiserverCert", "apiserverKey")), "aciRegion": "westus"},
    "rbac": {"install": False, "serviceAccountName": "default", "apiVersion": "v1beta1", "roleRef": "cluster-admin"},
}  # fmt: skip
FILE_0_5 = {
    "nodeName": "virtual-kubelet",
    "nodeOsType": "Linux",
    "monitoredNamespace": "",
    "apiserverCert": None,
    "apiserverKey": None,
    "logLevel": None,
    "taint": {"enabled": True, "key": "virtual-kubelet.io/provider", "value": "{{ .Values.provider }}", "effect": "NoSchedule"},
    "trace": {"exporter": "", "serviceName": "{{ .Values.nodeName }}", "sampleRate": 0},
    "traceExporters": {"jaeger": {"endpoint": ""}},
    "provider": "azure",
    "providers": {
        "azure": {
            "targetAKS": False, "clientId": "client", "clientKey": "hush", "tenantId": "tenant", "subscriptionId": None,
            "aciResourceGroup": "group", "aciRegion": "westus", "masterUri": None,
            "loganalytics": {"enabled": False, "workspaceId": None, "workspaceKey": None, "clusterResourceId": None},
            "vnet": dict.fromkeys(("subnetName", "subnetCidr", "clusterCidr", "kubeDnsIp")) | {"enabled": False},
        }
    },
    "rbac": {"install": True, "serviceAccountName": "virtual-kubelet", "apiVersion": "v1beta1", "roleRef": "cluster-admin"},
}  # fmt: skip
FILE_ACI = {
    **FILE_0_5,
    "image": {"secretName": "pull", "repository": "registry.example", "name": "ours/agent", "tag": "1", "pullPolicy": "Always"},
    "initImage": {"name": "init-validation"},
    "namespace": "vk-azure-aci",
    "useVKVersion2": True,
    "nodeName": "virtual-node-aci-linux-helm",
    "disableVerifyClients": False,
    "enableAuthenticationTokenWebhook": True,
    "providers": {"azure": {**FILE_0_5["providers"]["azure"], "targetAKS": True, "enableRealTimeMetrics": True}},
}  # fmt: skip
CASES = {
    "defaults": {},
    "original": ORIGINAL,
    "everything": EVERYTHING,
    "file 0.1": FILE_0_1,
    "file 0.5": FILE_0_5,
    "file of azure-aci": FILE_ACI,
}


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
