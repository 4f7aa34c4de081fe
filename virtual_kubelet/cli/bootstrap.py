"""`virtual-kubelet bootstrap`: a node's own identity from a bootstrap token, or from anybody's kubeconfig.

As kubelets do: the token may ask for a certificate of the node's, which is used from then on and renewed by the agent.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from virtual_kubelet.cli.signals import StopOnSignal
from virtual_kubelet.errors import ApiError, ApiForbidden, ConfigError
from virtual_kubelet.kube import client_certificate as certificates
from virtual_kubelet.kube import config
from virtual_kubelet.kube.certificate_shelf import Signed
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.credentials import Header
from virtual_kubelet.node.api_gate import hopeless
from virtual_kubelet.pure import names
from virtual_kubelet.runtime import files
from virtual_kubelet.runtime.threads import Deadline, StopSignal

__all__ = ["add_arguments", "run"]

POLL = 1.0  # seconds between two looks at the request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--nodename", required=True, metavar="NAME", help="name of the node")
    parser.add_argument("--server", metavar="URL", help="the API server, https://HOST:PORT")
    parser.add_argument("--token-file", metavar="FILE", help="holds a bootstrap token; -: standard input")
    parser.add_argument(
        "--certificate-authority", metavar="FILE", help="who signed the API server's certificate"
    )
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="a kubeconfig, instead of the three above"
    )
    parser.add_argument(
        "--kubeconfig",
        default="/etc/virtual-kubelet/kubeconfig",
        metavar="FILE",
        help="what to write (default: /etc/virtual-kubelet/kubeconfig)",
    )
    parser.add_argument(
        "--cert-dir",
        metavar="DIR",
        help="where the certificate is kept and renewed (default: /var/lib/virtual-kubelet/NAME/pki)",
    )
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="to wait for approval (300)"
    )
    parser.add_argument("--force", action="store_true", help="replace a kubeconfig that is there")


def run(arguments: argparse.Namespace) -> int:
    """Get the certificate and write the kubeconfig; return the exit code."""
    if problems := names.dns_subdomain(arguments.nodename):
        raise ConfigError(f'--nodename: "{arguments.nodename}" cannot be the name of a node: {problems[0]}')
    target = Path(arguments.kubeconfig).absolute()
    if target.exists() and not arguments.force:
        raise ConfigError(f"{target} is there already; --force replaces it")
    access = _access(arguments)
    directory = arguments.cert_dir or f"/var/lib/virtual-kubelet/{arguments.nodename}/pki"
    pem = Path(directory).absolute() / certificates.FILE_NAME
    _make_directories(pem.parent)
    signed = _obtain(access, arguments.nodename, arguments.timeout)
    if signed is None:
        return 1
    _check(access, signed)
    _write(pem, signed.key.rstrip() + b"\n" + signed.certificate)
    _write(target, yaml.safe_dump(_kubeconfig(access, arguments.nodename, pem), sort_keys=False).encode())
    print(f"node {arguments.nodename}: certificate in {pem}, kubeconfig in {target}")
    return 0


def _access(arguments: argparse.Namespace) -> config.ApiAccess:
    if arguments.source:
        if arguments.server or arguments.token_file or arguments.certificate_authority:
            raise ConfigError("--from has server, token and authority in it: leave the other three out")
        return config.load(arguments.source)
    if not (arguments.server and arguments.token_file and arguments.certificate_authority):
        raise ConfigError("set --server, --token-file and --certificate-authority, or --from KUBECONFIG")
    user = {"token": _token(arguments.token_file)}
    cluster = {
        "server": arguments.server,
        "certificate-authority": str(Path(arguments.certificate_authority).absolute()),
    }
    with tempfile.TemporaryDirectory(prefix="virtual-kubelet-") as directory:  # mode 0700
        path = Path(directory) / "kubeconfig"
        path.write_text(yaml.safe_dump(_document(cluster, user, "bootstrap")), encoding="utf-8")
        return replace(config.load(str(path)), origin="command line")


def _token(path: str) -> str:
    try:
        token = (sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path}: {getattr(error, 'strerror', 'is not text')}") from error
    if not token or len(token.split()) > 1:
        raise ConfigError(f"--token-file {path}: one token is expected in it")
    return token


def _obtain(access: config.ApiAccess, node_name: str, timeout: float) -> Signed | None:
    """Ask, and wait for approval; None: a signal has ended the wait."""
    stop = StopSignal()
    deadline = Deadline(timeout)
    client = Client(access, qps=0, stop=stop)
    with StopOnSignal(stop.set):
        try:
            request = certificates.ask(client, node_name)
            signed = certificates.read(client, request)
            if signed is None:
                print(
                    f"requested as {request.name}; where the cluster does not approve it by itself:\n"
                    f"  kubectl certificate approve {request.name}",
                    flush=True,
                )
            while signed is None and not stop.is_set():
                if deadline.expired:
                    raise ConfigError(
                        f"{request.name} was not approved within {timeout:g} s; run this again then"
                    )
                stop.wait(POLL)
                signed = certificates.read(client, request)
        except ApiForbidden as error:
            raise ConfigError(
                f"{error}; let the group of the token (system:bootstrappers) have the ClusterRole"
                " system:node-bootstrapper"
            ) from error
        except ApiError as error:
            raise ConfigError(f"no certificate: {hopeless(error, client.host) or error}") from error
        except certificates.Refused as error:
            raise ConfigError(f"no certificate: {error}") from error
        finally:
            client.close()
    return signed


def _check(access: config.ApiAccess, signed: Signed) -> None:
    """See that the API server knows the new identity, before anything is replaced."""
    tls = replace(access.tls, cert_data=signed.certificate, key_data=signed.key, cert_file="", key_file="")
    client = Client(replace(access, tls=tls, credentials=Header()), qps=0)
    try:
        client.get_path("/version")
    except ApiError as error:
        raise ConfigError(
            f"the API server does not accept the certificate that it has issued: {error}"
        ) from error
    finally:
        client.close()


def _kubeconfig(access: config.ApiAccess, node_name: str, pem: Path) -> dict[str, Any]:
    tls = access.tls
    cluster: dict[str, Any] = {"server": access.server}
    if tls.insecure:
        cluster["insecure-skip-tls-verify"] = True
    elif tls.ca_data or tls.ca_file:
        authority = tls.ca_data or Path(tls.ca_file).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    if tls.server_name:
        cluster["tls-server-name"] = tls.server_name
    if access.proxy:
        cluster["proxy-url"] = access.proxy
    return _document(
        cluster, {"client-certificate": str(pem), "client-key": str(pem)}, f"system:node:{node_name}"
    )


def _document(cluster: Mapping[str, Any], user: Mapping[str, Any], user_name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": dict(cluster)}],
        "users": [{"name": user_name, "user": dict(user)}],
        "contexts": [{"name": "node", "context": {"cluster": "cluster", "user": user_name}}],
        "current-context": "node",
    }


def _make_directories(directory: Path) -> None:
    """Make a directory and those above it, each with the owner of the one above: the service's, not root's."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o700)
            certificates.take_owner(path)
    except OSError as error:
        raise ConfigError(f"--cert-dir {directory}: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        files.replace(path, data)
        certificates.take_owner(path)
        if path.stat().st_uid == 0:
            path.chmod(0o640)  # /etc/virtual-kubelet is root's, and the service's group reads it
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
