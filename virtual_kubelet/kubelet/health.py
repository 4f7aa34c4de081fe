"""/healthz, /livez and /readyz: `ok`, or which check failed.

The form is that of Kubernetes components (apiserver/pkg/server/healthz, v1.36): `?verbose` lists the checks,
`?exclude=NAME` leaves one out, `/readyz/NAME` asks for one alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

from virtual_kubelet.errors import RequestError
from virtual_kubelet.web.messages import TEXT, Handler, Request, Response
from virtual_kubelet.web.routing import Router

__all__ = ["Check", "add_routes"]

logger = logging.getLogger(__name__)

Check: TypeAlias = "Callable[[], str | None]"
"""Returns when all is well, with a word about it or None; raises, with the reason as text, when not. Must not
wait: a probe's answer is wanted within a second."""


def add_routes(router: Router, path: str, checks: Mapping[str, Check], **attributes: object) -> None:
    """Serve `path` ("/readyz") and each of its checks; `ping`, which always succeeds, is added."""
    every: dict[str, Check] = {"ping": lambda: None, **checks}
    name = path.strip("/")
    router.add("GET", path, _all(name, every), **attributes)
    router.add("GET", f"{path}/{{check}}", _one(every), **attributes)


def _all(name: str, checks: Mapping[str, Check]) -> Handler:
    def handler(request: Request) -> Response:
        excluded = set(request.query.get("exclude", ()))
        lines, failed = [], []
        for check in checks:
            if check in excluded:
                lines.append(f"[+]{check} excluded: ok")
                continue
            ok, word = _run(checks[check])
            lines.append(f"[{'+' if ok else '-'}]{check} {'ok' if ok else 'failed'}{word and ': ' + word}")
            if not ok:
                failed.append(check)
        if failed:
            logger.info("%s check failed: %s", name, ", ".join(failed))
            return _answer(500, "\n".join([*lines, f"{name} check failed", ""]))
        if "verbose" in request.query:
            return _answer(200, "\n".join([*lines, f"{name} check passed", ""]))
        return _answer(200, "ok")

    return handler


def _one(checks: Mapping[str, Check]) -> Handler:
    def handler(request: Request) -> Response:
        check = checks.get(request.route["check"])
        if check is None:
            raise RequestError(404, "404 page not found")
        ok, word = _run(check)
        return _answer(200, "ok") if ok else _answer(500, f"internal server error: {word}\n")

    return handler


def _run(check: Check) -> tuple[bool, str]:
    try:
        return True, check() or ""
    except Exception as error:  # noqa: BLE001 - whatever a check raises, it has failed
        return False, str(error) or type(error).__name__


def _answer(status: int, body: str) -> Response:
    return Response(
        status, body.encode(), TEXT, (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-cache"))
    )
