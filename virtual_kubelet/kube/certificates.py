"""A serving certificate that the cluster signs: kubernetes.io/kubelet-serving.

    none yet, or it ends soon, or there are new names ---> new key, CertificateSigningRequest ---> pending
    pending ---> issued: shown from now on       pending ---> denied, failed, gone: asked again, later and later

Nothing in Kubernetes approves these requests by itself, so days may pass: until then `current` is None, or
the certificate before, and nobody waits. What was issued, and what is pending, outlives the process.

Kubernetes v1.36: certificates.k8s.io/v1, pkg/kubelet/certificate.
"""

from __future__ import annotations

import base64
import binascii
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from virtual_kubelet.errors import ApiError, ApiForbidden, ApiNotFound
from virtual_kubelet.kube.certificate_shelf import Pending, Shelf, Signed, new_key, signing_request
from virtual_kubelet.kube.resources import CERTIFICATE_SIGNING_REQUESTS, Resource
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal, Thread, join_all, spawn

__all__ = ["Requests", "ServingCertificate"]

logger = logging.getLogger(__name__)

SIGNER = "kubernetes.io/kubelet-serving"
USAGES = ("digital signature", "server auth")  # of an ECDSA key; RSA would add "key encipherment"
LOOK = 60.0  # seconds between two looks at the names and the time
POLL = Backoff(initial=1.0, maximum=60.0)  # while a request is pending
AGAIN = Backoff(initial=60.0, maximum=3600.0, jitter=0.2)  # after a denial
AWAY = Backoff(initial=2.0, maximum=60.0, jitter=0.2)  # after an error of the API server
ROTATE_AFTER = (0.7, 0.2)  # of its life, and what chance adds: the nodes of a cluster come one by one


class Requests(Protocol):
    """The part of `kube.client.Client` that this needs."""

    def create(self, resource: Resource, body: JsonObject) -> Any:
        """POST an object and return it as stored."""

    def get(self, resource: Resource, name: str) -> Any:
        """GET an object; `ApiNotFound` when it is gone."""


class ServingCertificate:
    """Gets a certificate for the node and keeps it new; a service."""

    def __init__(
        self,
        client: Requests,
        *,
        node_name: str,
        directory: str,
        names: Callable[[], Iterable[str]],
        clock: Clock = SYSTEM,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Make it; nothing runs yet.

        Args:
            client: an identity that may create CertificateSigningRequests; the signer wants it to be
                system:node:NODE.
            node_name: whose certificate it is.
            directory: where it is kept; "": nowhere.
            names: DNS names and IP addresses that it has to be for, asked about once a minute; none: they are
                not known yet, and nothing is requested.
            clock: for times and waits.
            chance: from [0, 1).
        """
        self._client = client
        self._node_name = node_name
        self._names = names
        self._clock = clock
        self._chance = chance
        self._shelf = Shelf(directory)
        self._stop = StopSignal(clock)
        self._thread: Thread | None = None
        # Written by the thread, read by any; a reference that is replaced as a whole.
        self._signed: Signed | None = None
        # The thread's own.
        self._pending: Pending | None = None
        self._answered: frozenset[str] | None = None  # the names that were asked for and then issued
        self._rotate_at = 0.0
        self._polls = 0
        self._refusals = 0
        self._failures = 0

    def current(self) -> tuple[bytes, bytes] | None:
        """Return certificate and key, PEM; None while there is none that is valid."""
        signed = self._signed
        if signed is None or self._clock.now() >= signed.not_after:
            return None
        return signed.certificate, signed.key

    def start(self) -> None:
        """Take what an earlier life has left, and begin."""
        signed = self._shelf.load_signed()
        if signed is not None:
            self._take(signed)
        self._pending = self._shelf.load_pending()
        self._thread = spawn(self._run, name="serving-certificate")

    def stop(self, deadline: Deadline) -> None:
        """End; a request that is pending stays."""
        self._stop.set()
        if self._thread is not None:
            join_all([self._thread], deadline)

    def _run(self) -> None:
        delay = 0.0
        while not self._stop.wait(delay):
            delay = self._attempt()

    def _attempt(self) -> float:
        try:
            delay = self._step()
        except ApiError as error:
            self._failures += 1
            self._complain(error)
            return AWAY.delay(self._failures, self._chance())
        except Exception:
            # Foreign: the names come from the node, the certificate from a signer.
            logger.exception("the serving certificate could not be looked after")
            return LOOK
        self._failures = 0
        return delay

    def _complain(self, error: ApiError) -> None:
        if self._failures > 1:
            return
        remedy = (
            "; allow it to create and get certificatesigningrequests, or leave out --rotate-server-certificates"
            if isinstance(error, ApiForbidden)
            else ""
        )
        logger.warning("the serving certificate could not be requested: %s%s", error, remedy)

    def _step(self) -> float:
        """Do what is to be done now; return the seconds to the next look."""
        wanted = frozenset(self._names())
        if not wanted:
            return POLL.delay(1)
        if self._pending is not None and self._pending.names != wanted:
            self._forget("its names have changed")
        if self._pending is not None:
            return self._look_at(self._pending)
        if self._signed is not None and self._fits(self._signed, wanted):
            return min(LOOK, max(1.0, self._rotate_at - self._clock.now()))
        self._request(wanted)
        return POLL.delay(1)

    def _fits(self, signed: Signed, wanted: frozenset[str]) -> bool:
        # A signer may leave names out: asking again would bring no other answer.
        covered = wanted <= signed.names or wanted == self._answered
        return covered and self._clock.now() < self._rotate_at

    def _request(self, names: frozenset[str]) -> None:
        key = new_key()
        request = signing_request(key, self._node_name, names)
        created = self._client.create(
            CERTIFICATE_SIGNING_REQUESTS,
            {
                "apiVersion": CERTIFICATE_SIGNING_REQUESTS.api_version,
                "kind": CERTIFICATE_SIGNING_REQUESTS.kind,
                "metadata": {"generateName": "csr-"},
                "spec": {
                    "request": base64.b64encode(request).decode(),
                    "signerName": SIGNER,
                    "usages": list(USAGES),
                },
            },
        )
        metadata = created.get("metadata", {})
        self._pending = Pending(metadata.get("name", ""), metadata.get("uid", ""), key, names)
        self._polls = 1
        self._shelf.save_pending(self._pending)
        name = self._pending.name
        logger.info(
            "a serving certificate is requested as %s; to approve it: kubectl certificate approve %s",
            name,
            name,
        )

    def _look_at(self, pending: Pending) -> float:
        """Look what became of a request."""
        try:
            found = self._client.get(CERTIFICATE_SIGNING_REQUESTS, pending.name)
        except ApiNotFound:
            # The cluster removes undecided requests after a day.
            return self._ask_again("it is gone")
        if found.get("metadata", {}).get("uid") != pending.uid:
            return self._ask_again("it is another one by now")
        status = found.get("status") or {}
        for condition in status.get("conditions") or []:
            if condition.get("type") in {"Denied", "Failed"}:
                reason = condition.get("message") or condition.get("reason") or ""
                return self._ask_again(f"it is {condition['type'].lower()}: {reason}")
        if not status.get("certificate"):
            self._polls += 1
            return POLL.delay(self._polls)
        try:
            signed = Signed.parse(base64.b64decode(status["certificate"], validate=True), pending.key)
        except (ValueError, binascii.Error) as error:
            return self._ask_again(f"the certificate cannot be used: {error}")
        if signed.not_after <= self._clock.now():
            return self._ask_again("the certificate has ended already")
        return self._adopt(pending, signed)

    def _adopt(self, pending: Pending, signed: Signed) -> float:
        self._take(signed)
        self._shelf.save_signed(signed)
        self._answered = pending.names
        self._refusals = 0
        self._pending = None
        self._shelf.save_pending(None)
        logger.info("the serving certificate %s was issued and is in use", pending.name)
        return LOOK

    def _take(self, signed: Signed) -> None:
        least, more = ROTATE_AFTER
        life = signed.not_after - signed.not_before
        self._rotate_at = signed.not_before + life * (least + more * self._chance())
        self._signed = signed

    def _ask_again(self, why: str) -> float:
        self._forget(why)
        self._refusals += 1
        return AGAIN.delay(self._refusals, self._chance())

    def _forget(self, why: str) -> None:
        if self._pending is not None:
            logger.warning("the request %s for a serving certificate is dropped: %s", self._pending.name, why)
        self._pending = None
        self._shelf.save_pending(None)
