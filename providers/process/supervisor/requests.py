"""Reads requests: what an agent sent becomes values, or a `RequestError`."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from virtual_kubelet.providers.process.supervisor import namespaces
from virtual_kubelet.providers.process.supervisor.container import StartRequest
from virtual_kubelet.providers.process.supervisor.protocol import Message
from virtual_kubelet.providers.process.supervisor.records import Record, valid_id

__all__ = ["RequestError", "argv", "signal_number", "start_request"]


class RequestError(Exception):
    """A request cannot be served; the text is for the agent's log and carries no argument or variable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def start_request(message: Message) -> StartRequest:
    """Return what a `start` asks for."""
    if not valid_id(message.get("container")):
        raise RequestError("invalid", f"{message.get('container')!r} cannot name a container")
    record = Record(
        id=message["container"],
        labels=_texts(message, "labels"),
        log=str(message.get("log", "")),
        log_max_bytes=int(message.get("log_max_bytes", 10 * 1024 * 1024)),
        log_max_files=int(message.get("log_max_files", 5)),
        tty=bool(message.get("tty")),
        stdin_once=bool(message.get("stdin_once")),
        cwd=str(message.get("cwd") or "/"),
        identity=dict(message.get("identity") or {}),
    )
    return StartRequest(
        record=record,
        argv=argv(message),
        env=_texts(message, "env"),
        stdin=bool(message.get("stdin")),
        mounts=[_mount(item) for item in message.get("mounts", [])],
        limits=_texts(message, "limits"),
    )


def argv(message: Message) -> list[str]:
    """Return the command of a request: at least one word, none with a NUL."""
    words = message.get("argv")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise RequestError("invalid", "argv must be a list of at least one string")
    if any("\0" in word for word in words):
        raise RequestError("invalid", "an argument contains a NUL character")
    return words


def _texts(message: Message, name: str) -> dict[str, str]:
    values = message.get(name) or {}
    if not isinstance(values, Mapping):
        raise RequestError("invalid", f"{name} must be an object")
    texts = {str(key): str(value) for key, value in values.items()}
    if name == "env" and any("\0" in key + value or "=" in key or not key for key, value in texts.items()):
        raise RequestError("invalid", 'a variable\'s name is empty, has a "=", or a NUL is in it')
    return texts


def _mount(item: Any) -> namespaces.Mount:
    try:
        return namespaces.Mount(str(item["source"]), str(item["target"]), bool(item.get("read_only")))
    except (KeyError, TypeError, AttributeError) as error:
        raise RequestError("invalid", "a mount needs source and target") from error


def signal_number(message: Message) -> int:
    """Return the signal that a request names or numbers."""
    value = message.get("signal", "TERM")
    if isinstance(value, int) and value in set(signal.valid_signals()):
        return value
    try:
        return int(getattr(signal.Signals, "SIG" + str(value).upper().removeprefix("SIG")))
    except AttributeError as error:
        raise RequestError("invalid", f"{value!r} is not a signal") from error
