"""The signature of Hyper.sh's API: AWS Signature Version 4 with its literals renamed, and one difference. Pure.

The canonical path has no leading slash. Signed are Host, Content-Type, Content-Md5 and each X-Hyper-* header; nothing
else. Source: hyperhq/hyper-api, signature version 4 (2017).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote, unquote

__all__ = ["ALGORITHM", "CONTENT_HASH", "DATE", "Keys", "authorization", "payload_hash", "timestamp"]

ALGORITHM = "HYPER-HMAC-SHA256"
DATE = "X-Hyper-Date"
CONTENT_HASH = "X-Hyper-Content-Sha256"
SERVICE, TERMINATOR = "hyper", "hyper_request"
UNRESERVED = "-_.~"
DEFAULT_PORTS = (":80", ":443")
SIGNED = frozenset({"content-type", "content-md5", "host"})

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Keys:
    """An account's keys, and the region that requests are signed for."""

    access: str
    secret: str
    region: str

    def __repr__(self) -> str:
        """Return a text without the secret."""
        return f"Keys({self.access[:1]}..., {self.region})"


def timestamp(seconds: float) -> str:
    """Return the header X-Hyper-Date for a time in seconds since the epoch."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y%m%dT%H%M%SZ")


def payload_hash(body: bytes) -> str:
    """Return the header X-Hyper-Content-Sha256."""
    return hashlib.sha256(body).hexdigest()


def authorization(method: str, target: str, headers: Mapping[str, str], keys: Keys) -> str:
    """Return the header Authorization.

    Args:
        method: of the request.
        target: path and query as sent.
        headers: all headers, with Host, Content-Type, X-Hyper-Date and X-Hyper-Content-Sha256 among them.
        keys: whose request it is.

    Raises:
        KeyError: a header that must be signed is missing.
    """
    values = {name.lower(): value.strip() for name, value in headers.items()}
    date, content = values[DATE.lower()], values[CONTENT_HASH.lower()]
    names = sorted(name for name in values if name in SIGNED or name.startswith("x-hyper-"))
    scope = f"{date[:8]}/{keys.region}/{SERVICE}/{TERMINATOR}"
    canonical = _canonical(method, target, [(name, _value(name, values[name])) for name in names], content)
    text = "\n".join((ALGORITHM, date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(_key(keys, date[:8]), text.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"


def _value(name: str, value: str) -> str:
    if name != "host":
        return value
    return next((value[: -len(port)] for port in DEFAULT_PORTS if value.endswith(port)), value)


def _canonical(method: str, target: str, headers: list[tuple[str, str]], content: str) -> str:
    path, _, query = target.partition("?")
    block = "".join(f"{name}:{value}\n" for name, value in headers)
    names = ";".join(name for name, _ in headers)
    return "\n".join((method.upper(), _path(path), _query(query), block, names, content))


def _path(path: str) -> str:
    # Decoded first, as the service does: a slash that was quoted separates parts like any other.
    return "/".join(quote(part, safe=UNRESERVED) for part in unquote(path).split("/") if part)


def _query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    # By key alone: values of one key keep their order, which sorted() does.
    ordered = sorted(pairs, key=lambda pair: pair[0].encode())
    return "&".join(
        f"{quote(key, safe=UNRESERVED)}={quote(value, safe=UNRESERVED)}" for key, value in ordered
    )


def _key(keys: Keys, day: str) -> bytes:
    key = f"HYPER{keys.secret}".encode()
    for part in (day, keys.region, SERVICE, TERMINATOR):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
