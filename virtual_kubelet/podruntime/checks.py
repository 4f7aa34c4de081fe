"""Asks a container whether it is well, or tells it something: exec, httpGet, tcpSocket, grpc; for probes and hooks.

Nothing here blocks: connections live on the loop (`network_checks`), commands in the driver. Texts are the
kubelet's, which people and their alerts look for.
"""

from __future__ import annotations

from virtual_kubelet.objects import Container, JsonObject
from virtual_kubelet.podruntime.driver import CommandResult, ContainerInfo, Driver
from virtual_kubelet.podruntime.grpc_check import MISSING, GrpcHealth
from virtual_kubelet.podruntime.loop import Loop
from virtual_kubelet.podruntime.network_checks import (
    CheckResult,
    Done,
    GrpcCheck,
    HttpCheck,
    HttpRequest,
    TcpCheck,
)

__all__ = ["CheckResult", "Checks", "port_number"]


def port_number(container: Container, value: object) -> int:
    """Return the number of a port given by number or name; raise `ValueError`."""
    if isinstance(value, int):
        return value
    for port in container.get("ports") or ():
        if port.get("name") == value:
            return port["containerPort"]
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"couldn't find port: {value!r}") from None


class Checks:
    """Runs the handlers of probes and hooks."""

    def __init__(self, driver: Driver, loop: Loop) -> None:
        self._driver = driver
        self._loop = loop

    def run(
        self,
        host: str,
        container: Container,
        info: ContainerInfo,
        handler: JsonObject,
        timeout: float,
        done: Done,
    ) -> None:
        """Run a handler (`exec`, `httpGet`, `tcpSocket`); `done` comes once, from any thread.

        `host` is the pod's address, for handlers that name no other.

        Raises nothing: what cannot be run has failed. Where the driver failed, the result is not `known`.
        """
        host = info.ip or host
        try:
            if handler.get("exec") is not None:
                self._exec(info, list(handler["exec"].get("command") or ()), timeout, done)
            elif handler.get("httpGet") is not None:
                self._http(container, handler["httpGet"], host, timeout, done)
            elif handler.get("tcpSocket") is not None:
                self._tcp(container, handler["tcpSocket"], host, timeout, done)
            elif handler.get("grpc") is not None:
                self._grpc(handler["grpc"], host, timeout, done)
            else:
                kinds = ", ".join(key for key, value in handler.items() if value is not None) or "nothing"
                done(CheckResult(False, f"this node has no handler for {kinds}"))
        except (ValueError, OSError) as error:
            done(CheckResult(False, str(error)))

    def _exec(self, info: ContainerInfo, command: list[str], timeout: float, done: Done) -> None:
        def finished(result: CommandResult) -> None:
            if result.error:
                done(CheckResult(False, result.error, known=False))
            elif result.timed_out:
                text = f'command "{" ".join(command)}" timed out'
                done(CheckResult(False, text))
            else:
                done(CheckResult(result.exit_code == 0, result.output.rstrip()))

        self._driver.run(info.id, command, timeout, finished)

    def _http(self, container: Container, get: JsonObject, pod_host: str, timeout: float, done: Done) -> None:
        port = port_number(container, get.get("port"))
        host = get.get("host") or pod_host
        scheme = str(get.get("scheme") or "HTTP").lower()
        path = str(get.get("path") or "/")
        path = path if path.startswith("/") else "/" + path
        headers = {str(item["name"]): str(item.get("value", "")) for item in get.get("httpHeaders") or ()}
        name = f"[{host}]" if ":" in host else host
        request = HttpRequest(f"{scheme}://{name}:{port}{path}", host, port, headers)
        self._loop.call(lambda: HttpCheck(self._loop, request, timeout, done).begin())

    def _tcp(
        self, container: Container, check: JsonObject, pod_host: str, timeout: float, done: Done
    ) -> None:
        port = port_number(container, check.get("port"))
        host = check.get("host") or pod_host
        self._loop.call(lambda: TcpCheck(self._loop, host, port, timeout, done).begin())

    def _grpc(self, check: JsonObject, pod_host: str, timeout: float, done: Done) -> None:
        host, port = str(check.get("host") or pod_host), int(check["port"])
        try:
            question = GrpcHealth(f"{host}:{port}", str(check.get("service") or ""))
        except ImportError:
            done(CheckResult(False, MISSING))
            return
        self._loop.call(lambda: GrpcCheck(self._loop, host, port, question, timeout, done).begin())
