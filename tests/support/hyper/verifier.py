"""Verifies the signature of a request to Hyper.sh, by the specification and with no code of the client's."""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote, unquote

SKEW = 300


class Verifier:
    def __init__(self, access="AKID", secret="SECRET", region="us-west-1"):
        self.access, self.secret, self.region = access, secret, region
        self.now = time.time

    def problem(self, method, target, headers, body):
        """Return why a request is refused; "" for one that is not."""
        given = headers.get("authorization", "")
        if not given.startswith("HYPER-HMAC-SHA256 "):
            return "no signature"
        date = headers.get("x-hyper-date", "")
        sent = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
        if abs(sent - self.now()) > SKEW:
            return "the clocks differ by more than 5 minutes"
        digest = hashlib.sha256(body).hexdigest()
        if headers.get("x-hyper-content-sha256") != digest:
            return "another body was signed"
        wanted = self._signature(method, target, headers, digest, date)
        return "" if hmac.compare_digest(given, wanted) else "the signature does not fit"

    def _signature(self, method, target, headers, digest, date):
        names = sorted(
            n for n in headers if n in ("host", "content-type", "content-md5") or n.startswith("x-hyper-")
        )
        host = headers["host"].removesuffix(":443").removesuffix(":80")
        path, _, query = target.partition("?")
        safe = "-_.~"
        steps = [quote(p, safe=safe) for p in unquote(path).split("/") if p]
        pairs = sorted(parse_qsl(query, keep_blank_values=True), key=lambda item: item[0])
        lines = [
            method,
            "/".join(steps),
            "&".join(f"{quote(k, safe=safe)}={quote(v, safe=safe)}" for k, v in pairs),
        ]
        lines += [f"{name}:{host if name == 'host' else headers[name]}" for name in names]
        lines += ["", ";".join(names), digest]
        scope = f"{date[:8]}/{self.region}/hyper/hyper_request"
        text = "\n".join(
            ["HYPER-HMAC-SHA256", date, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()]
        )
        key = ("HYPER" + self.secret).encode()
        for part in (date[:8], self.region, "hyper", "hyper_request"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        return (
            f"HYPER-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={';'.join(names)},"
            f" Signature={signature}"
        )
