"""What a provider may ask of the agent: `provider.PodContext` on the API client's parts."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.errors import ApiError, InvalidInput, Unavailable
from virtual_kubelet.kube.references import References
from virtual_kubelet.kube.store import Store
from virtual_kubelet.kube.tokens import Tokens
from virtual_kubelet.objects import Container, JsonObject, Node, Pod, pod_key
from virtual_kubelet.pure.environment import Environment, EnvironmentResolver, Facts
from virtual_kubelet.pure.problems import Problem
from virtual_kubelet.pure.references import containers_of
from virtual_kubelet.pure.volumes import VolumeFile, volume_content
from virtual_kubelet.settings import Settings

__all__ = ["NodePodContext"]

logger = logging.getLogger(__name__)

PULL_SECRETS = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}


class NodePodContext:
    """The Kubernetes side of this node's pods. Safe from any thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        node_ip: str,
        cluster_id: str,
        pods: Store,
        references: References,
        tokens: Tokens,
        facts: Callable[[], Facts],
        node: Callable[[], Node | None],
        event: Callable[[Pod, str, str, str], None],
    ) -> None:
        self._settings = settings
        self._node_ip = node_ip
        self._cluster_id = cluster_id
        self._pods = pods
        self._references = references
        self._tokens = tokens
        self._facts = facts
        self._node = node
        self._event = event

    # --- surroundings

    @property
    def node_name(self) -> str:
        """The name of this node."""
        return self._settings.node_name

    @property
    def cluster_id(self) -> str:
        """The UID of the kube-system namespace; "" where this node may not read it."""
        return self._cluster_id

    @property
    def state_dir(self) -> str:
        """A directory for the provider's own state; "" where there is none."""
        return self._settings.state_dir

    @property
    def namespace(self) -> str:
        """The only namespace that this agent serves, or "" for all."""
        return self._settings.namespace

    @property
    def node_ip(self) -> str:
        """The node's internal address."""
        return self._node_ip

    @property
    def cluster_domain(self) -> str:
        """The cluster's DNS domain."""
        return self._settings.cluster_domain

    @property
    def cluster_dns(self) -> tuple[str, ...]:
        """Addresses of the cluster's DNS servers."""
        return self._settings.cluster_dns

    # --- one pod

    def environment(self, pod: Pod, container: Container, pod_ips: list[str]) -> dict[str, str]:
        """Return the whole environment of a container."""
        return dict(self._resolve(pod, container, pod_ips).values)

    def secret_names(self, pod: Pod, container: Container) -> frozenset[str]:
        """Return the names of those variables whose value came from a Secret."""
        # With an address, whichever: what waits for one may hold a secret as well.
        return self._resolve(pod, container, ["0.0.0.0"]).secrets

    def files(self, pod: Pod, volume: JsonObject) -> Mapping[str, VolumeFile]:
        """Return what a configMap, secret, projected or downwardAPI volume holds, by relative path."""
        source = self._original(pod)
        addresses = [item["ip"] for item in source.get("status", {}).get("podIPs") or ()]
        content = volume_content(
            source, volume, self._references, self._facts_of(addresses), partial(self._tokens.token, source)
        )
        for problem in content.blocking:
            self._event(pod, "Warning", problem.reason, problem.message)
        _refuse(content.blocking)
        return content.files

    def pull_secrets(self, pod: Pod) -> list[JsonObject]:
        """Return the decoded registry credentials of each imagePullSecret that exists and is one."""
        found = []
        for mention in pod["spec"].get("imagePullSecrets") or ():
            with _translated():
                secret = self._references.secret(pod["metadata"]["namespace"], mention.get("name", ""))
            credentials = _decoded(secret or {})
            if credentials is not None:
                found.append(credentials)
        return found

    def token(self, pod: Pod, audience: str, expiration_seconds: int) -> str:
        """Return a service account token bound to the pod."""
        with _translated():
            return self._tokens.token(pod, audience, expiration_seconds)

    def event(self, pod: Pod, event_type: str, reason: str, message: str) -> None:
        """Record an event about the pod."""
        self._event(pod, event_type, reason, message)

    # --- the node and all pods

    def node(self) -> Node | None:
        """Return the Node as the API server has it; read-only. None: it is not known yet."""
        return self._node()

    def pods(self) -> list[Pod]:
        """Return the pods that the API server has bound to this node; read-only."""
        return self._pods.list()

    def on_change(self, callback: Callable[[str, str], None]) -> None:
        """Call `callback(namespace, name)` for each pod whose configMaps or secrets changed."""

        def changed(key: str) -> None:
            namespace, _, name = key.partition("/")
            callback(namespace, name)

        self._references.on_change(changed)

    def _resolve(self, pod: Pod, container: Container, pod_ips: list[str]) -> Environment:
        # From the API server's pod: in the provider's, what is resolved once would be expanded again.
        source = self._original(pod)
        name = container["name"]
        written = next((item for item in containers_of(source) if item["name"] == name), container)
        resolver = EnvironmentResolver(source, self._references, self._facts_of(pod_ips))
        environment = resolver.resolve(written)
        _refuse(environment.blocking)
        return environment

    def _facts_of(self, pod_ips: list[str]) -> Facts:
        facts = self._facts()
        return Facts(pod_ips=pod_ips, host_ips=facts.host_ips, allocatable=facts.allocatable)

    def _original(self, pod: Pod) -> Pod:
        held: Pod | None = self._pods.get(pod_key(pod))
        if held is not None and held["metadata"]["uid"] == pod["metadata"]["uid"]:
            return held
        return pod


def _refuse(problems: tuple[Problem, ...]) -> None:
    if not problems:
        return
    final = next((problem for problem in problems if problem.final), None)
    if final is not None:
        raise InvalidInput(final.text)
    raise Unavailable(problems[0].text)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the API server refuses into what a provider's caller understands: asked for again later."""
    try:
        yield
    except ApiError as error:
        raise Unavailable(str(error), retry_after=error.retry_after) from error


def _decoded(secret: Mapping[str, Any]) -> JsonObject | None:
    """Return the registry credentials in a Secret; None where it holds none. Its content is never logged."""
    key = PULL_SECRETS.get(secret.get("type", ""))
    text = (secret.get("data") or {}).get(key, "") if key else ""
    try:
        value = codec.loads(base64.b64decode(text, validate=True)) if text else None
    except (ValueError, binascii.Error):
        logger.warning("a secret for image pulls holds no JSON under %s", key)
        return None
    if not isinstance(value, dict):
        return None
    return value if key == ".dockerconfigjson" else {"auths": value}
