"""postStart and preStop: runs a container's lifecycle handler and says how it ended."""

from __future__ import annotations

from collections.abc import Callable

from virtual_kubelet.objects import Container
from virtual_kubelet.podruntime.checks import CheckResult, Checks
from virtual_kubelet.podruntime.driver import ContainerInfo
from virtual_kubelet.podruntime.loop import Loop

__all__ = ["Hooks"]

TRIES = 30  # of a hook that the backend cannot run, or lost sight of: it runs at least once, not at most once
RETRY = 1.0  # seconds between two of them
HOOK_TIMEOUT = 120.0  # for an httpGet of a postStart, which has no limit of its own


class Hooks:
    """Runs hooks; a hook of a container that ends ends with it."""

    def __init__(self, checks: Checks, loop: Loop) -> None:
        self._checks = checks
        self._loop = loop

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` after a time, on the loop's thread."""
        self._loop.after(seconds, callback)

    def run(
        self,
        host: str,
        container: Container,
        info: ContainerInfo,
        kind: str,
        timeout: float,
        done: Callable[[str], None],
    ) -> None:
        """Run `postStart` or `preStop` within `timeout` seconds (0: no limit); `done("")`, or with what failed."""
        handler = (container.get("lifecycle") or {}).get(kind) or {}
        if handler.get("sleep") is not None:
            self._loop.after(float(handler["sleep"].get("seconds", 0)), lambda: done(""))
            return
        if handler.get("exec") is None:
            timeout = timeout or HOOK_TIMEOUT

        def run(left: int) -> None:
            def finished(result: CheckResult) -> None:
                if result.ok:
                    done("")
                elif not result.known and left:
                    self._loop.after(RETRY, lambda: run(left - 1))
                else:
                    done(f"{kind}Hook failed: {result.message}" if result.message else f"{kind}Hook failed")

            self._checks.run(host, container, info, handler, timeout, finished)

        run(TRIES)
