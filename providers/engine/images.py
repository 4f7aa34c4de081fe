"""Has images: what is there, what must be pulled, and with whose credentials."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from virtual_kubelet import codec
from virtual_kubelet.errors import NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.podruntime.driver import Image, ImageError
from virtual_kubelet.providers.engine import references
from virtual_kubelet.providers.engine.client import Client, quoted
from virtual_kubelet.providers.engine.references import Reference
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.wire.engine_stream import JsonDecoder
from virtual_kubelet.wire.protocol_errors import ProtocolError

__all__ = ["ImageFacts", "Images"]

SILENCE = 300.0  # seconds without a word in the middle of a pull
BACK_OFF = Backoff(initial=10.0, maximum=300.0)


@dataclass(frozen=True)
class ImageFacts:
    """What the runtime needs of an image's configuration."""

    id: str
    user: str = ""
    stop_signal: str = ""


@dataclass
class _Failure:
    """Pulls of one image that failed in a row."""

    count: int
    again_at: float  # monotonic
    message: str


class Images:
    """The images of one engine; safe from any thread."""

    def __init__(self, client: Client, defaults: Sequence[JsonObject] = (), clock: Clock = SYSTEM) -> None:
        """`defaults` are credentials of the node's own, in the shape of a pull secret, asked after the pod's."""
        self._client = client
        self._defaults = list(defaults)
        self._clock = clock
        self._lock = threading.Lock()
        self._facts: LRUCache[str, ImageFacts] = LRUCache(512)  # under the lock; by image id
        self._failures: LRUCache[str, _Failure] = LRUCache(512)  # under the lock

    def ensure(
        self,
        text: str,
        policy: str,
        secrets: Sequence[JsonObject] = (),
        pulling: Callable[[], None] = lambda: None,
    ) -> Image:
        """Have the image by imagePullPolicy; raise `ImageError`, `Unavailable` when the engine is away.

        `pulling` is called before each pull.
        """
        try:
            reference = references.parse(text)
        except ValueError as error:
            raise ImageError(
                "InvalidImageName", f'Failed to apply default image tag "{text}": {error}'
            ) from None
        if policy != "Always":
            found = self._find(text)
            if found is not None:
                return Image(found.id, message=f'Container image "{text}" already present on machine')
            if policy == "Never":
                raise ImageError(
                    "ErrImageNeverPull", f'Container image "{text}" is not present with pull policy of Never'
                )
        started = self._clock.monotonic()
        self._pull_with_back_off(text, reference, [*secrets, *self._defaults], pulling)
        found = self._find(text) or self._known_by_name(text)
        spent = self._clock.monotonic() - started
        return Image(found.id, pulled=True, message=f'Successfully pulled image "{text}" in {spent:.3f}s')

    def facts(self, image: str) -> ImageFacts:
        """Return the configuration of an image that is there; raise `NotFound`."""
        with self._lock:
            known = self._facts.get(image)
        found = known or self._find(image)
        if found is None:
            raise NotFound(f'image "{image}" is not there')
        return found

    def _find(self, name: str) -> ImageFacts | None:
        try:
            answer = self._client.json("GET", f"/images/{quoted(name, safe='/:@')}/json")
        except NotFound:
            return None
        config = answer.get("Config") or {}
        facts = ImageFacts(
            str(answer.get("Id") or name), str(config.get("User") or ""), str(config.get("StopSignal") or "")
        )
        with self._lock:
            self._facts[facts.id] = facts
        return facts

    def _known_by_name(self, name: str) -> ImageFacts:
        """Take an image that was pulled and cannot be looked at for what it is called."""
        facts = ImageFacts(name)
        with self._lock:
            self._facts[name] = facts
        return facts

    # -- pulls ----------------------------------------------------------------------------------------

    def _pull_with_back_off(
        self, text: str, reference: Reference, secrets: Sequence[JsonObject], pulling: Callable[[], None]
    ) -> None:
        key = f"{text} {hashlib.sha256(codec.dumps(list(secrets))).hexdigest()}"
        with self._lock:
            failure = self._failures.get(key)
        if failure is not None and self._clock.monotonic() < failure.again_at:
            raise ImageError("ImagePullBackOff", f'Back-off pulling image "{text}": {failure.message}')
        pulling()
        try:
            self._pull_any(text, reference, secrets)
        except ImageError as error:
            count = failure.count + 1 if failure else 1
            delay = BACK_OFF.delay(count)
            with self._lock:
                self._failures[key] = _Failure(count, self._clock.monotonic() + delay, str(error))
            raise
        with self._lock:
            self._failures.pop(key, None)

    def _pull_any(self, text: str, reference: Reference, secrets: Sequence[JsonObject]) -> None:
        """Try the credentials that fit, then none; the last refusal is the one to tell."""
        error: ImageError | None = None
        for auth in (*references.credentials_for(reference, secrets), None):
            try:
                self._pull(text, reference, auth)
            except ImageError as refused:
                error = error or refused
            else:
                return
        assert error is not None
        raise error

    def _pull(self, text: str, reference: Reference, auth: JsonObject | None) -> None:
        query = {"fromImage": reference.name, "tag": reference.pull_tag}
        headers = references.auth_header(auth) if auth else {}
        what = f'Failed to pull image "{text}"'
        try:
            stream = self._client.stream(
                "POST", "/images/create", query=query, headers=headers, timeout=SILENCE
            )
        except Unavailable:
            raise
        except ProviderError as error:
            raise ImageError("ErrImagePull", f"{what}: {error}") from error
        decoder = JsonDecoder()
        problem = ""
        self._client.stopping.on_set(stream.close)
        try:
            while data := stream.read():
                problem = _problem(decoder.feed(data)) or problem
            if stream.closed:
                raise Unavailable("the provider is stopping")
            problem = _problem(decoder.end()) or problem
        except ProtocolError as error:
            problem = problem or str(error)
        finally:
            self._client.stopping.forget(stream.close)
            stream.close()
        if problem:
            raise ImageError("ErrImagePull", f"{what}: {problem}")


def _problem(items: list[JsonObject]) -> str:
    """Return what went wrong, which comes inside an answer that began with 200."""
    for item in items:
        if item.get("error"):
            return str((item.get("errorDetail") or {}).get("message") or item["error"])
    return ""
