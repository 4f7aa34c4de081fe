"""Log lines for people (text) and for collectors (JSON), and the removal of secrets from anything shown.

Only the command line calls `configure`: inside another program its owner decides about logging, and this
package only writes to `logging.getLogger("virtual_kubelet...")`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, TextIO

from virtual_kubelet.errors import ConfigError

__all__ = ["FORMATS", "LEVELS", "JsonFormatter", "TextFormatter", "configure", "redact", "redact_text"]

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("text", "json")
REDACTED = "[redacted]"
HANDLER = "virtual-kubelet"  # the name of the one handler that `configure` installs, and replaces

# Keys whose values are never shown, compared without case, dashes and underscores.
_SECRET_KEY = re.compile(
    r"(password|passwd|secret|token|authorization|cookie|credential|privatekey|accesskey|apikey"
    r"|clientkeydata|connectionstring)",
)
# ... except those that only say where a secret is, or how it is named.
_PLAIN_KEY = re.compile(r"(file|path|name|dir|ref|url|uri|ttl|seconds|enabled|type|mode)s?$")
_SECRET_TEXT = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    re.DOTALL,
)
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact_text(text: str) -> str:
    """Return `text` without bearer tokens, JWTs, private keys and passwords in URLs."""
    return _SECRET_TEXT.sub(lambda match: (match["scheme"] or "") + REDACTED, text)


def redact(value: Any) -> Any:
    """Return a copy of a JSON-like value in which everything that looks secret is replaced.

    Goes by the names of keys (`password`, `clientKeyData`, `token` ...) and by the form of strings.
    """
    if isinstance(value, Mapping):
        return {key: REDACTED if _hides(key, item) else redact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def _hides(key: object, value: object) -> bool:
    if value is None or value == "" or isinstance(value, (bool, Mapping, list, tuple)):
        return False
    name = re.sub(r"[-_. ]", "", str(key)).lower()
    return bool(_SECRET_KEY.search(name)) and not _PLAIN_KEY.search(name)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO  message [logger thread]`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, tracebacks on further lines."""
        text = (
            f"{_time(record)} {record.levelname:<7} {record.getMessage()}"
            f" [{record.name.removeprefix('virtual_kubelet.')} {record.threadName}]"
        )
        trace = _trace(self, record)
        return redact_text(f"{text}\n{trace}" if trace else text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, thread, msg, error; and what `extra` added."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        fields: dict[str, Any] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "msg": redact_text(record.getMessage()),
        }
        extra = {key: item for key, item in vars(record).items() if key not in _RECORD_FIELDS}
        fields |= redact(extra)
        trace = _trace(self, record)
        if trace:
            fields["error"] = redact_text(trace)
        return json.dumps(fields, ensure_ascii=False, default=str)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def configure(level: str = "info", log_format: str = "text", stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (standard error); for programs, not for libraries.

    May be called again to change its mind. Raises `ConfigError` for an unknown level or format.
    """
    if level.lower() not in LEVELS:
        raise ConfigError(f'log level "{level}" is unknown; use one of {", ".join(LEVELS)}')
    if log_format not in FORMATS:
        raise ConfigError(f'log format "{log_format}" is unknown; use one of {", ".join(FORMATS)}')
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.set_name(HANDLER)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == HANDLER]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level.lower()])
    # Others' debug lines hold whole requests and answers, with what is secret in them.
    for noisy in ("urllib3", "requests", "kubernetes", "botocore", "azure", "msal"):
        logging.getLogger(noisy).setLevel(max(logging.INFO, LEVELS[level.lower()]))
    # It warns of each connection that it keeps no longer, as after an outage; what failed is in our own errors.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
