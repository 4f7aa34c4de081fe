"""`virtual-kubelet supervisor`: becomes the process that holds a node's containers, as a service of its own.

For systemd, which ends what an agent has started together with the agent. It takes the flags, variables and file of
`run`, so that both find the same directory, and is replaced by the supervisor: nothing of this program stays.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from virtual_kubelet.cli import options
from virtual_kubelet.cli.provision import provider_config
from virtual_kubelet.cli.resolve import Invocation, resolve
from virtual_kubelet.errors import ConfigError

__all__ = ["add_arguments", "run"]

PROVIDER = "process"
NOT_NEEDED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--needed",
        action="store_true",
        default=argparse.SUPPRESS,
        help="only tell, by exit code 0, whether the provider that is configured has need of one",
    )
    options.add_to(parser)


def run(flags: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """Become the supervisor, or tell by the exit code whether there is need of one. Raises `ConfigError`."""
    flags = dict(flags)
    only_tell = flags.pop("needed", False)
    # Its directory does not depend on the cluster: the machine may come up before its kubeconfig does.
    invocation = resolve(flags, environ, need_cluster=False)
    if only_tell:
        return 0 if invocation.settings.provider == PROVIDER else NOT_NEEDED
    return _become(invocation, environ)


def _become(invocation: Invocation, environ: Mapping[str, str]) -> NoReturn:
    provider = invocation.settings.provider
    if provider != PROVIDER:
        raise ConfigError(f'the provider "{provider}" has no supervisor; it belongs to --provider {PROVIDER}')
    from virtual_kubelet.providers.process.provider import supervisor_service

    config = provider_config(invocation.settings, invocation.provider_config, environ)
    command, clean = supervisor_service(config)
    if "NOTIFY_SOCKET" in environ:
        clean["NOTIFY_SOCKET"] = environ["NOTIFY_SOCKET"]
    os.execve(command[0], command, clean)  # noqa: S606 - no shell is wanted
