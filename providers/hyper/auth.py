"""Signs each request of `requests`, at the moment it is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from virtual_kubelet.providers.hyper import signing
from virtual_kubelet.providers.hyper.signing import Keys
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["HyperAuth"]


class HyperAuth(AuthBase):
    """The signature of Hyper.sh's API. Tried again, a request is signed again: its time must be near the server's."""

    def __init__(self, keys: Keys, clock: Clock = SYSTEM) -> None:
        self._keys = keys
        self._clock = clock

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the headers."""
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else bytes(body)
        url = urlsplit(str(request.url))
        headers = request.headers
        headers.setdefault("Content-Type", "application/json")
        headers["Host"] = url.netloc
        headers[signing.DATE] = signing.timestamp(self._clock.now())
        headers[signing.CONTENT_HASH] = signing.payload_hash(data)
        target = request.path_url
        headers["Authorization"] = signing.authorization(str(request.method), target, headers, self._keys)
        return request
