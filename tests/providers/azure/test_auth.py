from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import requests
import responses
from support.waiting import eventually

from virtual_kubelet.errors import ConfigError, Unauthorized, Unavailable
from virtual_kubelet.providers.azure import auth
from virtual_kubelet.providers.azure.auth import Token, Tokens
from virtual_kubelet.providers.azure.credentials import Credential, Kind
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import spawn

CREDENTIAL = Credential(
    Kind.SERVICE_PRINCIPAL, "https://login.example", "https://arm.example", "t", "c", "s3cret"
)
URL = "https://login.example/t/oauth2/token"


class Fetcher:
    def __init__(self, clock, life=3600):
        self.clock, self.life = clock, life
        self.calls = 0
        self.failure = None
        self.gate = None

    def __call__(self):
        self.calls += 1
        call = self.calls
        if self.gate:
            self.gate.wait(30)
        if self.failure:
            raise self.failure
        return Token.living(f"token-{call}", self.clock.now(), self.life)


@pytest.fixture
def clock():
    return SteppedClock()


def test_a_token_is_kept_until_shortly_before_its_end(clock):
    fetch = Fetcher(clock)
    tokens = Tokens(fetch, clock)
    assert [tokens.get(), tokens.get()] == ["token-1", "token-1"]
    clock.advance(3299)
    assert tokens.get() == "token-1"
    clock.advance(2)
    assert tokens.get() == "token-2"


def test_a_short_lived_token_is_kept_for_half_its_life(clock):
    tokens = Tokens(Fetcher(clock, life=60), clock)
    assert tokens.get() == "token-1"
    clock.advance(29)
    assert tokens.get() == "token-1"
    clock.advance(2)
    assert tokens.get() == "token-2"


def test_a_failed_refresh_is_no_error_while_the_old_token_lives(clock):
    fetch = Fetcher(clock)
    tokens = Tokens(fetch, clock)
    tokens.get()
    fetch.failure = Unavailable("away")
    clock.advance(3400)
    assert tokens.get() == "token-1"
    clock.advance(300)
    with pytest.raises(Unavailable, match="away"):
        tokens.get()


def test_one_fetch_at_a_time_and_its_failure_is_everybodys(clock):
    fetch = Fetcher(clock)
    fetch.gate, fetch.failure = threading.Event(), Unauthorized("no")
    tokens = Tokens(fetch, clock)
    errors = []

    def ask():
        try:
            tokens.get()
        except Unauthorized as error:
            errors.append(str(error))

    threads = [spawn(ask, name=f"ask-{number}") for number in range(5)]
    eventually(lambda: fetch.calls == 1)
    eventually(lambda: len(tokens._changed._waiters) == 4)
    fetch.gate.set()
    for thread in threads:
        thread.join(30)
    assert errors == ["no"] * 5
    assert fetch.calls == 1


def test_a_refusal_is_believed_for_a_while_and_a_failure_is_not(clock):
    fetch = Fetcher(clock)
    tokens = Tokens(fetch, clock)
    for failure, calls in ((Unavailable("away"), 3), (Unauthorized("no"), 1)):
        fetch.calls, fetch.failure = 0, failure
        for _ in range(3):
            with pytest.raises(type(failure)):
                tokens.get()
        assert fetch.calls == calls
    fetch.failure = None
    clock.advance(10)
    assert tokens.get()


def test_a_refused_refresh_is_no_error_while_the_old_token_lives(clock):
    fetch = Fetcher(clock)
    tokens = Tokens(fetch, clock)
    tokens.get()
    fetch.failure = Unauthorized("no")
    clock.advance(3400)
    assert [tokens.get(), tokens.get()] == ["token-1", "token-1"]
    assert fetch.calls == 2
    clock.advance(200)
    with pytest.raises(Unauthorized):
        tokens.get()


def test_others_go_on_with_the_old_token_during_a_refresh(clock):
    fetch = Fetcher(clock)
    tokens = Tokens(fetch, clock)
    tokens.get()
    clock.advance(3400)
    fetch.gate = threading.Event()
    thread = spawn(tokens.get, name="refresh")
    eventually(lambda: fetch.calls == 2)
    assert tokens.get() == "token-1"
    fetch.gate.set()
    thread.join(30)
    assert tokens.get() == "token-2"


def test_a_rejected_token_is_replaced_once(clock):
    tokens = Tokens(Fetcher(clock), clock)
    first = tokens.get()
    tokens.reject(first)
    second = tokens.get()
    tokens.reject(first)  # a second thread that had the old one
    assert tokens.get() == second != first


# --- the service principal


@responses.activate
def test_what_is_sent_for_a_token(clock):
    responses.post(URL, json={"access_token": "value", "expires_in": "3599"})
    tokens = auth.source(CREDENTIAL, requests.Session(), clock)
    assert tokens.get() == "value"
    assert dict(part.split("=") for part in responses.calls[0].request.body.split("&")) == {
        "grant_type": "client_credentials",
        "client_id": "c",
        "client_secret": "s3cret",
        "resource": "https%3A%2F%2Farm.example%2F",
    }


@responses.activate
@pytest.mark.parametrize(
    ("status", "answer", "error", "words"),
    [
        (
            401,
            {
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: 7",
            },
            Unauthorized,
            "AADSTS7000215: Invalid client secret.",
        ),
        (400, {"error": "unauthorized_client"}, Unauthorized, "unauthorized_client"),
        (503, {}, Unavailable, "503"),
        (200, {}, Unavailable, "without an access token"),
    ],
)
def test_refusals(clock, status, answer, error, words):
    responses.post(URL, status=status, json=answer)
    with pytest.raises(error) as caught:
        auth.source(CREDENTIAL, requests.Session(), clock).get()
    assert words in str(caught.value)
    assert "Trace" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@responses.activate
def test_the_newer_endpoint_where_there_is_no_other(clock):
    responses.post(URL, status=404, body="no such page")
    responses.post(
        "https://login.example/t/oauth2/v2.0/token", json={"access_token": "value", "expires_in": 60}
    )
    tokens = auth.source(CREDENTIAL, requests.Session(), clock)
    assert tokens.get() == "value"
    assert "scope=https%3A%2F%2Farm.example%2F.default" in responses.calls[1].request.body
    clock.advance(60)
    tokens.get()
    assert len(responses.calls) == 3  # the other is not tried again


@responses.activate
def test_where_there_is_neither_endpoint(clock):
    responses.post(URL, status=404, json={"error": "invalid_request", "error_description": "no tenant"})
    responses.post("https://login.example/t/oauth2/v2.0/token", status=404)
    with pytest.raises(Unavailable, match="oauth2/token refuses .* invalid_request: no tenant"):
        auth.source(CREDENTIAL, requests.Session(), clock).get()


@responses.activate
def test_a_token_is_for_the_endpoint_as_it_is_written(clock):
    responses.post(URL, json={"access_token": "value", "expires_in": 60})
    auth.source(replace(CREDENTIAL, audience="https://arm.example"), requests.Session(), clock).get()
    assert responses.calls[0].request.body.endswith("resource=https%3A%2F%2Farm.example")


@responses.activate
def test_an_endpoint_that_is_away(clock):
    responses.post(URL, body=requests.ConnectionError("refused"))
    with pytest.raises(Unavailable, match="cannot be reached"):
        auth.source(CREDENTIAL, requests.Session(), clock).get()


@responses.activate
def test_a_token_that_does_not_tell_its_life_is_kept_for_a_moment(clock):
    responses.post(URL, json={"access_token": "value"})
    tokens = auth.source(CREDENTIAL, requests.Session(), clock)
    tokens.get()
    tokens.get()
    assert len(responses.calls) == 1


# --- identities, through azure-identity


class FakeIdentity:
    def __init__(self, clock, failure=None):
        self.clock, self.failure, self.scopes = clock, failure, []

    def get_token(self, scope):
        self.scopes.append(scope)
        if self.failure:
            raise self.failure
        return type("AccessToken", (), {"token": "from-identity", "expires_on": self.clock.now() + 600})()


@pytest.fixture
def identity(monkeypatch, clock):
    library = pytest.importorskip("azure.identity")
    made = {}

    def maker(kind):
        def make(**how):
            made[kind] = how
            return made.setdefault("credential", FakeIdentity(clock))

        return make

    monkeypatch.setattr(library, "ManagedIdentityCredential", maker("managed"))
    monkeypatch.setattr(library, "WorkloadIdentityCredential", maker("workload"))
    return made


def test_a_managed_identity(clock, identity):
    credential = Credential(
        Kind.MANAGED_IDENTITY, "https://login.example", "https://arm.example", client_id="i"
    )
    assert auth.source(credential, requests.Session(), clock).get() == "from-identity"
    assert identity["managed"] == {"client_id": "i"}
    assert identity["credential"].scopes == ["https://arm.example/.default"]


def test_the_systems_own_identity(clock, identity):
    credential = Credential(Kind.MANAGED_IDENTITY, "https://login.example", "https://arm.example")
    auth.source(credential, requests.Session(), clock)
    assert identity["managed"] == {}


def test_a_workload_identity(clock, identity):
    credential = Credential(
        Kind.WORKLOAD_IDENTITY,
        "https://login.example",
        "https://arm.example",
        "t",
        "c",
        federated_token_file="/f",
    )
    auth.source(credential, requests.Session(), clock)
    assert identity["workload"] == {
        "tenant_id": "t",
        "client_id": "c",
        "token_file_path": "/f",
        "authority": "https://login.example",
        "disable_instance_discovery": True,  # of no cloud of Azure's own
    }


def test_what_the_library_refuses_is_a_wrong_configuration(clock):
    pytest.importorskip("azure.identity")
    place = "http://127.0.0.1:1"
    credential = Credential(Kind.WORKLOAD_IDENTITY, place, place, "t", "c", federated_token_file="/f")
    with pytest.raises(ConfigError, match="workload identity: .*https"):
        auth.source(credential, requests.Session(), clock)


def test_failures_of_identities(clock, identity):
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import CredentialUnavailableError

    credential = Credential(Kind.MANAGED_IDENTITY, "https://login.example", "https://arm.example")
    tokens = auth.source(credential, requests.Session(), clock)
    for raised, expected in (
        (CredentialUnavailableError(message="no IMDS\nmore"), Unavailable),
        (ClientAuthenticationError(message="refused"), Unauthorized),
        (OSError("cut"), Unavailable),
    ):
        identity["credential"].failure = raised
        clock.advance(auth.REFUSED_FOR)
        with pytest.raises(expected) as caught:
            tokens.get()
        assert "more" not in str(caught.value)


def test_a_missing_library_is_named(monkeypatch, clock):
    monkeypatch.setitem(__import__("sys").modules, "azure.identity", None)
    with pytest.raises(ConfigError, match=r"pip install 'virtual-kubelet\[azure\]'"):
        auth.source(Credential(Kind.MANAGED_IDENTITY, "https://a", "https://b"), requests.Session(), clock)
