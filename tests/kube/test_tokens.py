from __future__ import annotations

import threading

import pytest
from support.pods import make_pod
from support.scripted_server import ScriptedServer
from support.waiting import eventually

from virtual_kubelet.errors import ApiNotFound, ApiUnavailable
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.tokens import Tokens
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn


class Issuer:
    def __init__(self, clock):
        self.clock = clock
        self.refuse = None
        self.answer = None
        self.gate = threading.Event()
        self.gate.set()
        self.server = ScriptedServer(self._script)

    @property
    def requests(self):
        return [call.object for call in self.server.calls]

    def _script(self, call):
        self.gate.wait(30)
        if self.refuse:
            call.status(self.refuse, "NotFound" if self.refuse == 404 else "")
        elif self.answer is not None:
            call.json(self.answer, 201)
        else:
            ends = times.rfc3339(self.clock.now() + call.object["spec"]["expirationSeconds"])
            call.json({"status": {"token": f"t{len(self.server.calls)}", "expirationTimestamp": ends}}, 201)


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def issuer(clock):
    issuer = Issuer(clock)
    yield issuer
    issuer.gate.set()
    issuer.server.close()


@pytest.fixture
def tokens(issuer, clock):
    client = Client(ApiAccess(issuer.server.url), qps=0, clock=clock)
    yield Tokens(client, clock, chance=lambda: 0.5)
    client.close()


POD = make_pod("web", "shop", uid="uid-1", serviceAccountName="clerk")


def test_the_request_binds_the_token_to_the_pod(tokens, issuer):
    assert tokens.token(POD, "vault", 3600) == "t1"
    (call,) = issuer.server.calls
    assert (call.method, call.path) == ("POST", "/api/v1/namespaces/shop/serviceaccounts/clerk/token")
    assert call.object == {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": ["vault"],
            "expirationSeconds": 3600,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "uid-1"},
        },
    }


def test_no_audience_means_the_api_servers_own(tokens, issuer):
    tokens.token(make_pod("web", "shop"), "", 600)
    assert "audiences" not in issuer.requests[0]["spec"]
    assert issuer.server.calls[0].path.endswith("/serviceaccounts/default/token")


def test_tokens_are_kept_apart(tokens):
    other = make_pod("web", "shop", uid="uid-2", serviceAccountName="clerk")
    asked = [(POD, "a", 600), (POD, "b", 600), (POD, "a", 700), (other, "a", 600)]
    assert [tokens.token(*arguments) for arguments in asked] == ["t1", "t2", "t3", "t4"]
    assert [tokens.token(*arguments) for arguments in asked] == ["t1", "t2", "t3", "t4"]


@pytest.mark.parametrize(("seconds", "use"), [(3600, 0.8 * 3600 - 5), (30 * 86400, 86400 - 5)])
def test_renewed_after_most_of_its_life_or_a_day(tokens, clock, seconds, use):
    assert tokens.token(POD, "", seconds) == "t1"
    clock.advance(use - 1)
    assert tokens.token(POD, "", seconds) == "t1"
    clock.advance(2)
    assert tokens.token(POD, "", seconds) == "t2"


def test_an_old_token_serves_while_it_is_valid(tokens, issuer, clock, caplog):
    tokens.token(POD, "", 600)
    issuer.refuse = 500
    clock.advance(550)
    assert tokens.token(POD, "", 600) == "t1"
    assert "could not be renewed" in caplog.text
    clock.advance(100)
    with pytest.raises(ApiUnavailable):
        tokens.token(POD, "", 600)


def test_a_service_account_that_is_not_there(tokens, issuer):
    issuer.refuse = 404
    with pytest.raises(ApiNotFound):
        tokens.token(POD, "", 600)
    assert tokens._tokens == {}


@pytest.mark.parametrize(
    "status", [{}, {"token": "s3cr3t"}, {"token": "s3cr3t", "expirationTimestamp": "soon"}]
)
def test_an_answer_without_a_token_or_its_end(tokens, issuer, status):
    issuer.answer = {"status": status}
    with pytest.raises(ApiUnavailable) as caught:
        tokens.token(POD, "", 600)
    assert "s3cr3t" not in str(caught.value)


def test_many_threads_ask_once(tokens, issuer):
    issuer.gate.clear()
    answers = []
    threads = [spawn(lambda: answers.append(tokens.token(POD, "", 600)), name="asker") for _ in range(6)]
    eventually(lambda: issuer.server.calls)
    issuer.gate.set()
    assert join_all(threads, Deadline(30)) == []
    assert answers == ["t1"] * 6
    assert len(issuer.server.calls) == 1


def test_forgotten_with_the_pod_and_swept_when_they_have_ended(tokens, clock):
    tokens.token(POD, "", 600)
    tokens.token(make_pod("other", "shop", uid="uid-9"), "", 600)
    tokens.forget("uid-1")
    assert {key.uid for key in tokens._tokens} == {"uid-9"}
    clock.advance(700)
    tokens.token(POD, "", 600)
    assert {key.uid for key in tokens._tokens} == {"uid-1"}
