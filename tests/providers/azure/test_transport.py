from __future__ import annotations

import json
import threading

import pytest
import requests
import responses
from support.waiting import eventually

from virtual_kubelet.errors import Conflict, NotFound, Unauthorized, Unavailable
from virtual_kubelet.providers.azure import transport as module
from virtual_kubelet.providers.azure.auth import Token, Tokens
from virtual_kubelet.providers.azure.budget import ReadBudget
from virtual_kubelet.providers.azure.health import Health
from virtual_kubelet.providers.azure.transport import NoAnswer, Transport, new_session
from virtual_kubelet.runtime.clock import SYSTEM, SteppedClock
from virtual_kubelet.runtime.threads import spawn

ARM = "https://arm.example"
URL = f"{ARM}/thing"


class Parts:
    def __init__(self, clock, endpoint=ARM):
        self.clock = clock
        self.tokens = Tokens(self._token, clock)
        self.issued = 0
        self.budget, self.health = ReadBudget(180, clock), Health(clock)
        self.transport = Transport(
            endpoint,
            self.tokens,
            new_session(ARM),
            budget=self.budget,
            health=self.health,
            user_agent="vk/1 extra",
            clock=clock,
        )

    def _token(self):
        self.issued += 1
        return Token.living(f"t{self.issued}", self.clock.now(), 3600)

    def send(self, method="GET", path="/thing", *args, **how):
        return self.transport.send(method, path, *args, what="thing", **how)


@pytest.fixture
def quick(monkeypatch):
    for pauses in ("PAUSES", "THROTTLED_PAUSES"):
        monkeypatch.setattr(module, pauses, module.Backoff(initial=0.001, maximum=0.002))


@pytest.fixture
def parts(quick):
    return Parts(SYSTEM)


@responses.activate
def test_what_a_request_carries(parts, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine arm.example login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    responses.put(URL, json={"x": 1}, headers={"Azure-AsyncOperation": "/op"})
    answer = parts.send("PUT", "/thing", {"api-version": "1"}, {"a": "b"})
    assert (answer.body, answer.operation) == ({"x": 1}, "/op")
    request = responses.calls[0].request
    assert request.headers["Authorization"] == "Bearer t1"
    assert request.headers["User-Agent"] == "vk/1 extra"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {"a": "b"}
    assert request.params == {"api-version": "1"}


@responses.activate
@pytest.mark.parametrize("path", ["/thing", f"{ARM}/azure/thing"])
def test_an_endpoint_in_a_folder(quick, path):
    responses.get(f"{ARM}/azure/thing", json={"x": 1})
    assert Parts(SYSTEM, f"{ARM}/azure").send("GET", path).body == {"x": 1}


@responses.activate
def test_the_token_goes_nowhere_else(parts):
    responses.get(URL, json={})
    parts.send("GET", "https://evil.example/thing?api-version=1&x=a%2Fb", {"y": "2"})
    assert responses.calls[0].request.url.startswith(URL)
    assert responses.calls[0].request.params == {"api-version": "1", "x": "a/b", "y": "2"}


@responses.activate
@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
def test_a_get_is_repeated(parts, status):
    responses.get(URL, status=status)
    responses.get(URL, status=status)
    responses.get(URL, json={"x": 1})
    assert parts.send().body == {"x": 1}


@responses.activate
def test_three_times_and_no_more(parts):
    responses.get(URL, status=503)
    with pytest.raises(NoAnswer):
        parts.send()
    assert len(responses.calls) == 3


@responses.activate
@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
def test_what_may_have_been_taken_is_not_repeated(parts, method):
    responses.add(method, URL, status=503)
    with pytest.raises(NoAnswer):
        parts.send(method, "/thing", {}, {})
    assert len(responses.calls) == 1


@responses.activate
@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (requests.ConnectTimeout("x"), "no connection in time"),
        (requests.ReadTimeout("x"), "no answer within 30 seconds"),
        (requests.ConnectionError("x"), "the connection failed or was cut"),
        (requests.exceptions.ChunkedEncodingError("x"), "ChunkedEncodingError"),
    ],
)
def test_no_answer_at_all(parts, failure, words):
    responses.put(URL, body=failure)
    with pytest.raises(NoAnswer) as caught:
        parts.send("PUT", "/thing", {}, {})
    assert str(caught.value) == f"PUT thing: {words}"


@responses.activate
def test_an_answer_that_is_not_json_is_none(parts):
    responses.put(URL, body="{")
    with pytest.raises(NoAnswer, match="not JSON"):
        parts.send("PUT", "/thing", {}, {})


@responses.activate
@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (409, Conflict), (403, Unauthorized)])
def test_refusals_are_final_here(parts, status, error):
    responses.get(URL, status=status, json={"error": {"code": "C", "message": "m"}})
    with pytest.raises(error, match=f"GET thing: {status} C: m"):
        parts.send()
    assert len(responses.calls) == 1


@responses.activate
def test_a_refusal_can_be_the_answer(parts):
    responses.get(URL, status=409, json={"error": {"code": "C"}})
    answer = parts.send(refusals=True)
    assert (answer.status, answer.body) == (409, {"error": {"code": "C"}})


@responses.activate
def test_an_ended_token_is_replaced_once(parts):
    responses.get(URL, status=401)
    responses.get(URL, json={})
    parts.send()
    assert [call.request.headers["Authorization"] for call in responses.calls] == ["Bearer t1", "Bearer t2"]


@responses.activate
def test_refused_credentials(parts):
    responses.get(URL, status=401, json={"error": {"code": "InvalidAuthenticationToken"}})
    with pytest.raises(Unauthorized):
        parts.send()
    assert len(responses.calls) == 2


@responses.activate
def test_a_redirect_is_not_followed(parts):
    responses.get(URL, status=302, headers={"Location": "https://evil.example"})
    with pytest.raises(Exception, match="302"):
        parts.send()


def waits(parts, clock, seconds):
    """Return what becomes of a GET that has to wait for `seconds`."""
    result = []
    thread = spawn(lambda: result.append(parts.send().body), name="send")
    clock.block_until(1)
    clock.advance(seconds - 0.01)
    assert not result
    clock.advance(0.02)
    thread.join(30)
    return result


@responses.activate
def test_retry_after_is_honoured():
    clock = SteppedClock()
    parts = Parts(clock)
    responses.get(URL, status=429, headers={"Retry-After": "7"})
    responses.get(URL, json={"x": 1})
    assert waits(parts, clock, 7) == [{"x": 1}]


@responses.activate
def test_a_long_retry_after_is_handed_on_and_holds_the_others_back():
    clock = SteppedClock()
    parts = Parts(clock)
    responses.get(URL, status=429, headers={"Retry-After": "60"})
    with pytest.raises(Unavailable) as caught:
        parts.send()
    assert caught.value.retry_after == 60
    clock.advance(10)
    with pytest.raises(Unavailable) as caught:
        parts.send()
    assert caught.value.retry_after == 50
    assert len(responses.calls) == 1
    responses.delete(URL, json={})
    parts.send("DELETE")  # deletes are counted apart
    clock.advance(50)
    responses.replace(responses.GET, URL, json={})
    parts.send()


@responses.activate
def test_without_a_retry_after_pauses_grow():
    clock = SteppedClock()
    parts = Parts(clock)
    responses.put(URL, status=429)
    waits = []
    for _ in range(6):
        with pytest.raises(Unavailable) as caught:
            parts.send("PUT")
        waits.append(caught.value.retry_after)
        clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32]
    responses.replace(responses.PUT, URL, json={})
    parts.send("PUT")
    responses.replace(responses.PUT, URL, status=429)
    with pytest.raises(Unavailable) as caught:
        parts.send("PUT")
    assert caught.value.retry_after == 1


@responses.activate
def test_stop_wakes_what_waits():
    clock = SteppedClock()
    parts = Parts(clock)
    responses.get(URL, status=503)
    errors = []

    def send():
        try:
            parts.send()
        except Unavailable as error:
            errors.append(str(error))

    thread = spawn(send, name="send")
    clock.block_until(1)
    parts.transport.close()
    thread.join(30)
    assert errors == ["the agent stops"]
    with pytest.raises(Unavailable, match="the agent stops"):
        parts.send("PUT", "/thing", {}, {})


@responses.activate
def test_health_is_what_reads_of_groups_say(parts):
    responses.get(URL, status=503)
    responses.put(URL, status=503)
    for _ in range(4):
        with pytest.raises(NoAnswer):
            parts.send("PUT", "/thing", {}, {})
        with pytest.raises(NoAnswer):
            parts.send(vital=False)
    assert parts.health.verdict().ready
    for _ in range(3):
        with pytest.raises(NoAnswer):
            parts.send()
    assert not parts.health.verdict().ready
    responses.replace(responses.GET, URL, status=404)
    with pytest.raises(NotFound):
        parts.send()
    assert parts.health.verdict().ready


@responses.activate
def test_being_throttled_is_no_sickness(parts):
    responses.get(URL, status=429)
    for _ in range(4):
        with pytest.raises(Unavailable):
            parts.send()
    assert parts.health.verdict().ready


@responses.activate
def test_arms_count_of_reads_is_heeded(parts):
    responses.get(URL, json={}, headers={"x-ms-ratelimit-remaining-subscription-reads": "10"})
    assert parts.budget.plenty
    parts.send()
    assert not parts.budget.plenty


@responses.activate
def test_many_threads_share_one_transport(parts):
    responses.get(URL, json={})
    threads = [spawn(parts.send, name=f"send-{number}") for number in range(8)]
    for thread in threads:
        thread.join(30)
    eventually(lambda: len(responses.calls) == 8)
    assert parts.issued == 1
    assert threading.active_count() >= 1
