"""`virtual-kubelet run`: puts settings, provider and agent together, and runs until a signal."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.cli.provision import make_provider
from virtual_kubelet.cli.resolve import resolve
from virtual_kubelet.cli.service_manager import Announcer, Notifier
from virtual_kubelet.cli.signals import StopOnSignal
from virtual_kubelet.runtime import logs
from virtual_kubelet.runtime.threads import Deadline

__all__ = ["run"]

# Pods live long and have about fifty containers each: a collection that walks them all finds nothing and stops
# every thread meanwhile. Young garbage is collected as always, the old generation less often.
GC_THRESHOLDS = (10_000, 20, 100)
ANNOUNCER_TIMEOUT = 5.0  # seconds; it never waits for anything but its own clock


def run(flags: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """Run a node until SIGTERM or SIGINT; return the exit code."""
    invocation = resolve(flags, environ)
    logs.configure(invocation.log_level, invocation.log_format)
    provider = make_provider(invocation.settings, invocation.provider_config, environ)
    gc.set_threshold(*GC_THRESHOLDS)
    agent = VirtualKubelet(invocation.settings, provider)
    announcer = Announcer(agent, Notifier(environ))

    def stop() -> None:
        announcer.stopping()
        agent.stop(invocation.shutdown_timeout)

    with StopOnSignal(stop):
        announcer.start()
        try:
            agent.run()
        finally:
            announcer.stop(Deadline(ANNOUNCER_TIMEOUT))
    return 0
