"""`virtual-kubelet dev`: an embedded control plane and a node in one process, and what happens on them in words."""

from __future__ import annotations

import argparse
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from virtual_kubelet.cli import manifests
from virtual_kubelet.cli.narrator import Narrator
from virtual_kubelet.cli.provision import make_provider
from virtual_kubelet.cli.signals import StopOnSignal
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.runtime import logs
from virtual_kubelet.testing.cluster import DevCluster

__all__ = ["add_arguments", "run"]

ONCE_TIMEOUT = 60  # seconds that `--once` waits for the pods


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dev`."""
    parser.add_argument(
        "--provider", default="process", metavar="NAME", help="what runs the pods (default: process)"
    )
    parser.add_argument(
        "--provider-config", default="", metavar="FILE", help="the provider's own configuration file"
    )
    parser.add_argument("--nodename", default="virtual-kubelet", metavar="NAME", help="name of the node")
    parser.add_argument(
        "--port", type=_port, default=0, help="port of the API server (default: any free one)"
    )
    parser.add_argument(
        "--kubeconfig-out", default="", metavar="FILE", help="write a kubeconfig for kubectl here"
    )
    parser.add_argument(
        "--apply", action="append", default=[], metavar="FILE", help="apply a manifest; repeatable"
    )
    parser.add_argument(
        "--once", action="store_true", help="end when every applied pod has run and written; exit 0 only then"
    )
    parser.add_argument(
        "--log-level", default="warning", help="debug, info, warning or error (default: warning)"
    )


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run until a signal (or, with `--once`, until the pods have run); return the exit code."""
    logs.configure(arguments.log_level)
    objects = [item for path in arguments.apply for item in manifests.read(path)]
    stopped = threading.Event()
    with StopOnSignal(stopped.set):
        return _run(arguments, environ, objects, stopped)


def _run(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    objects: list[manifests.Manifest],
    stopped: threading.Event,
) -> int:
    # The provider is made with the settings that the agent will have; its state lives and dies with the cluster.
    cluster = DevCluster(
        lambda settings: make_provider(settings, arguments.provider_config, environ),
        port=arguments.port,
        node_name=arguments.nodename,
        provider=arguments.provider,
    )
    with cluster:
        kubeconfig = _place_kubeconfig(cluster.kubeconfig, arguments.kubeconfig_out)
        narrator = Narrator(cluster.client, arguments.nodename)
        narrator.introduce(cluster.url, kubeconfig, arguments.provider)
        narrator.start()
        try:
            for item in objects:
                print(f"applied      {manifests.apply(cluster.client, item)}", flush=True)
            if not arguments.once:
                stopped.wait()
                print("stopping ...", flush=True)
                return 0
            wanted = [manifests.key(item) for item in objects if item["kind"] == "Pod"]
            return 0 if narrator.wait_for_output(wanted, ONCE_TIMEOUT, stopped) else 1
        finally:
            narrator.stop()


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port")
    return number


def _place_kubeconfig(path: str, wanted: str) -> str:
    """Copy the kubeconfig to where the user wants it; return where it is."""
    if not wanted:
        return path
    target = Path(wanted)
    try:
        target.touch(mode=0o600)
        shutil.copyfile(path, target)
    except OSError as error:
        raise ConfigError(f"--kubeconfig-out {wanted}: {error.strerror}") from error
    return str(target)
