"""`virtual-kubelet check`: what is wrong with this configuration, before anything runs.

Takes the flags, variables and file of `run`. Nothing is changed but that the state directory is made: rights are
asked for (SelfSubjectAccessReview), not tried. Exit code 0 when nothing is wrong, 1 otherwise.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import urllib3
from cryptography import x509
from cryptography.x509.oid import NameOID

from virtual_kubelet.cli.provision import make_provider
from virtual_kubelet.cli.resolve import resolve
from virtual_kubelet.errors import ApiError, ConfigError, VirtualKubeletError
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import SELF_SUBJECT_ACCESS_REVIEWS
from virtual_kubelet.node.api_gate import hopeless
from virtual_kubelet.provider import Closing, Pinging
from virtual_kubelet.settings import Settings

__all__ = ["RIGHTS", "Right", "run"]

MARKER = b"-----BEGIN CERTIFICATE-----"
# What a node's own identity has for what its pods refer to, and only for that: no question can be asked before.
BY_REFERENCE = {"configmaps", "secrets", "serviceaccounts/token"}
SKEW = 30.0  # seconds: tokens and certificates of a moment ago are valid on the other side too
SOON = 14 * 86400.0  # seconds before its end that a certificate is worth a word
TIMEOUT = 10.0

OK, WARNING, WRONG = "ok", "warning", "WRONG"


@dataclass(frozen=True)
class Finding:
    """One line of the answer."""

    state: str
    about: str
    text: str = ""


@dataclass(frozen=True)
class Right:
    """A right of the agent's, and what does not work without it. `{node}` in a name is the node's."""

    verb: str
    resource: str
    why: str
    group: str = ""
    namespace: str = ""  # "*": that of --namespace, or every one
    name: str = ""
    needed: bool = True


RIGHTS = (
    *(Right(verb, "pods", "no pod is seen", namespace="*") for verb in ("list", "watch")),
    Right("delete", "pods", "ended pods stay Terminating", namespace="*"),
    Right("patch", "pods/status", "nobody learns what became of a pod", namespace="*"),
    *(Right(verb, "nodes", "there is no node", name="{node}") for verb in ("create", "get", "patch")),
    *(Right(verb, "nodes", "a node that somebody deletes is not made again", name="{node}") for verb in ("list", "watch")),
    Right("patch", "nodes/status", "the node is never Ready", name="{node}"),
    *(
        Right(verb, "leases", "the node is taken for dead", "coordination.k8s.io", "kube-node-lease", "{node}")
        for verb in ("create", "get", "update")
    ),
    Right("get", "configmaps", "pods that use ConfigMaps do not start", namespace="*"),
    Right("get", "secrets", "pods that use Secrets do not start", namespace="*"),
    *(Right(verb, "services", "pods lack the variables that name services", namespace="*", needed=False) for verb in ("list", "watch")),
    Right("create", "serviceaccounts/token", "pods have no service account token", namespace="*", needed=False),
    *(Right(verb, "events", "kubectl describe shows no events", namespace="*", needed=False) for verb in ("create", "patch")),
    Right("create", "tokenreviews", "callers with tokens (metrics-server, Prometheus) are refused", "authentication.k8s.io", needed=False),
    Right("create", "subjectaccessreviews", "kubectl logs and exec are refused", "authorization.k8s.io"),
    Right("get", "configmaps", "the API server's client certificate is not known: set --client-ca-file", "", "kube-system", "extension-apiserver-authentication", needed=False),
    Right("get", "namespaces", "the cluster has no id in a backend that several clusters share", "", "", "kube-system", needed=False),
)  # fmt: skip

SERVING_RIGHTS = tuple(
    Right(verb, "certificatesigningrequests", "no serving certificate is issued", "certificates.k8s.io")
    for verb in ("create", "get")
)


def run(flags: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """Print what is found; return the exit code. Raises `ConfigError` where nothing can be looked at."""
    invocation = resolve(flags, environ)
    settings = invocation.settings
    wrong = 0
    for finding in _findings(settings, invocation.provider_config, environ):
        wrong += finding.state == WRONG
        print(f"{finding.state:8} {finding.about}{': ' if finding.text else ''}{finding.text}", flush=True)
    print(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def _findings(settings: Settings, provider_config: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    yield from _guarded("provider", lambda: _provider(settings, provider_config, environ))
    yield from _guarded("port", lambda: _port(settings))
    yield from _guarded("certificates", lambda: _certificates(settings))
    try:
        access = config.load(settings.kubeconfig)
    except VirtualKubeletError as error:
        yield Finding(WRONG, "kubeconfig", str(error))
        return
    yield Finding(OK, "kubeconfig", f"{settings.kubeconfig or 'in-cluster'}, server {access.server}")
    client = Client(access, qps=0)
    try:
        reached = list(_guarded("API server", lambda: _api_server(access, client)))
        yield from reached
        if not any(finding.state == WRONG for finding in reached):
            yield from _guarded("rights", lambda: _rights(settings, access, client))
    finally:
        client.close()


def _guarded(about: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; its failure is a finding too."""
    try:
        yield from check()
    except VirtualKubeletError as error:
        yield Finding(WRONG, about, " ".join(str(error).split()))


def _provider(settings: Settings, provider_config: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    provider = make_provider(settings, provider_config, environ)
    try:
        if isinstance(provider, Pinging):
            provider.ping()
            yield Finding(OK, f"provider {settings.provider}", "its backend answers")
        else:
            yield Finding(OK, f"provider {settings.provider}", "its configuration is read")
    finally:
        if isinstance(provider, Closing):
            provider.close(TIMEOUT)


def _port(settings: Settings) -> Iterator[Finding]:
    address = settings.address or "::"
    about = f"port {settings.port}"
    if settings.port == 0:
        yield Finding(OK, "port", "any free one")
        return
    try:
        found = socket.getaddrinfo(address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(*found[0][:3]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
    except OSError as error:
        text = f"{error.strerror}; it may be this node itself that runs already, else set --port or --address"
        yield Finding(WARNING, about, text)
    else:
        yield Finding(OK, about, "free")


def _certificates(settings: Settings) -> Iterator[Finding]:
    if settings.tls_cert_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(settings.tls_cert_file, settings.tls_private_key_file)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or "they are no PEM, or do not belong together"
            raise ConfigError(f"--tls-cert-file and --tls-private-key-file: {reason}") from error
        yield _age("serving certificate", Path(settings.tls_cert_file).read_bytes())
    else:
        yield Finding(
            OK,
            "serving certificate",
            "requested from the cluster" if settings.rotate_server_certificates else "self-signed",
        )
    if settings.client_ca_file:
        try:
            yield _age("client CA", Path(settings.client_ca_file).read_bytes())
        except OSError as error:
            raise ConfigError(f"--client-ca-file {settings.client_ca_file}: {error.strerror}") from error


def _age(about: str, pem: bytes) -> Finding:
    """Look when a certificate ends."""
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
    except ValueError as error:
        raise ConfigError(f"{about}: no PEM certificate") from error
    left = certificate.not_valid_after_utc.timestamp() - time.time()
    end = f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    if left <= 0:
        return Finding(WRONG, about, f"it has ended: {end}")
    return Finding(WARNING if left < SOON else OK, about, end)


def _api_server(access: config.ApiAccess, client: Client) -> Iterator[Finding]:
    try:
        version = client.get_path("/version", timeout=TIMEOUT)
    except ApiError as error:
        raise ConfigError(hopeless(error, client.host) or str(error)) from error
    named = version.get("gitVersion", "of unknown version") if isinstance(version, dict) else ""
    yield Finding(OK, "API server", f"it answers, {named}")
    if pem := _client_certificate(access):
        yield _age("client certificate", pem)
    yield from _clock(access)


def _client_certificate(access: config.ApiAccess) -> bytes:
    """Return the certificate that is shown to the API server, PEM; b"" where there is none."""
    certificate, tls = access.credentials.certificate(), access.tls
    pem = (certificate and certificate.certificate) or tls.cert_data
    if not pem and tls.cert_file:
        pem = Path(tls.cert_file).read_bytes()
    return pem[max(0, pem.find(MARKER)) :] if pem else b""


def _is_node(access: config.ApiAccess) -> bool:
    """Tell whether we are a node to the API server."""
    pem = _client_certificate(access)
    if not pem:
        return False
    subject = x509.load_pem_x509_certificates(pem)[0].subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(str(name.value).startswith("system:node:") for name in names)


def _clock(access: config.ApiAccess) -> Iterator[Finding]:
    """Compare the clocks: a certificate or token may be valid for one side only."""
    if not access.server.startswith("https:") or access.proxy:
        return
    headers = {"Authorization": header} if (header := access.authorization()) else {}
    with urllib3.PoolManager(ssl_context=access.ssl_context(), server_hostname=access.tls.server_name or None, retries=False) as pool:  # fmt: skip
        try:
            answer = pool.request("GET", f"{access.server}/version", headers=headers, timeout=TIMEOUT)
        except urllib3.exceptions.HTTPError:
            return
    try:
        theirs = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return
    skew = time.time() - theirs
    if abs(skew) > SKEW:
        word = "ahead" if skew > 0 else "behind"
        yield Finding(
            WRONG, "clock", f"{abs(skew):.0f} s {word} of the API server's; let chrony or ntpd set it"
        )
    else:
        yield Finding(OK, "clock", "as the API server's")


def _rights(settings: Settings, access: config.ApiAccess, client: Client) -> Iterator[Finding]:
    node = _is_node(access)
    for right in RIGHTS + (SERVING_RIGHTS if settings.rotate_server_certificates else ()):
        namespace = settings.namespace if right.namespace == "*" else right.namespace
        about = f"right to {right.verb} {right.resource}{f' in {namespace}' if namespace else ''}"
        if node and right.resource in BY_REFERENCE and right.namespace == "*":
            yield Finding(OK, about, "those that its pods refer to")
        elif _allowed(client, _attributes(right, namespace, settings.node_name)):
            yield Finding(OK, about)
        else:
            yield Finding(WRONG if right.needed else WARNING, about, f"missing: {right.why}")


def _attributes(right: Right, namespace: str, node_name: str) -> dict[str, Any]:
    """Return what SelfSubjectAccessReview wants to know."""
    resource, _, subresource = right.resource.partition("/")
    attributes: dict[str, Any] = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace,
        "name": right.name.format(node=node_name) if right.verb != "create" else "",
    }
    if right.verb in {"list", "watch"} and resource in {"pods", "nodes"}:
        # A node's own identity may ask for its own only.
        field = "spec.nodeName" if resource == "pods" else "metadata.name"
        attributes["fieldSelector"] = {"rawSelector": f"{field}={node_name}"}
        attributes["name"] = ""
    return {key: value for key, value in attributes.items() if value}


def _allowed(client: Client, attributes: dict[str, Any]) -> bool:
    review = {
        "apiVersion": SELF_SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": SELF_SUBJECT_ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": attributes},
    }
    try:
        return bool(client.create(SELF_SUBJECT_ACCESS_REVIEWS, review)["status"].get("allowed"))
    except ApiError as error:
        raise ConfigError(f"they cannot be asked for: {error}") from error
