"""Who may call: authentication, authorization, and the guard made of both."""

from __future__ import annotations

import datetime as dt
import logging

import pytest
from support.certificates import Authority
from support.kubelet import ReviewingClient
from tenacity import wait_none

from virtual_kubelet.errors import ApiError, ApiForbidden, ApiUnavailable, RequestError
from virtual_kubelet.kubelet.authentication import Authentication
from virtual_kubelet.kubelet.authorization import AlwaysAllow, NodeAuthorization
from virtual_kubelet.kubelet.guard import Guard
from virtual_kubelet.kubelet.identity import ANONYMOUS, User, from_certificate
from virtual_kubelet.kubelet.reviews import ReviewFailed, Reviews
from virtual_kubelet.runtime.clock import SYSTEM, SteppedClock
from virtual_kubelet.web.messages import Headers, Request

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority():
    return Authority()


def request(method="GET", token=None, certificate=None, scheme="Bearer"):
    headers = Headers([("Authorization", f"{scheme} {token}")] if token is not None else [])
    return Request(method, "/pods", headers, peer_certificate=certificate)


def reviews(client):
    return Reviews(client, wait=wait_none())


# ---------------------------------------------------------------------------------------------------------
# Certificates


def test_a_certificates_user(authority):
    issued = authority.client("kube-apiserver", ["system:masters", "ops"])
    assert from_certificate(issued.der, SYSTEM) == User(
        "kube-apiserver", groups=("system:masters", "ops", "system:authenticated")
    )


def test_a_certificate_that_names_nobody(authority):
    assert from_certificate(authority.client("", ["ops"]).der, SYSTEM) is None
    assert from_certificate(b"rubbish", SYSTEM) is None


def test_a_certificate_ends_on_a_connection_that_lives_on(authority):
    issued = authority.client("somebody", after=DAY)
    clock = SteppedClock(dt.datetime.now(dt.timezone.utc).timestamp())  # noqa: TID251 - the certificate's time
    assert from_certificate(issued.der, clock) is not None
    clock.advance(2 * 86400)
    assert from_certificate(issued.der, clock) is None


# ---------------------------------------------------------------------------------------------------------
# Tokens

ALICE = {"username": "alice", "uid": "7", "groups": ["g", "system:authenticated"], "extra": {"k": ["v"]}}


def test_a_tokens_user_is_remembered_for_two_minutes():
    client, clock = ReviewingClient(tokens={"good": ALICE}), SteppedClock()
    authentication = Authentication(reviews(client), clock=clock)
    for _ in range(3):
        user = authentication.user(request(token="good"))
        assert user == User("alice", "7", ("g", "system:authenticated"), {"k": ("v",)})
    assert len(client.reviews) == 1
    clock.advance(121)
    authentication.user(request(token="good"))
    assert len(client.reviews) == 2


def test_a_refused_token_is_remembered_too():
    client, clock = ReviewingClient(), SteppedClock()
    authentication = Authentication(reviews(client), clock=clock)
    for _ in range(3):
        assert authentication.user(request(token="bad")) is None
    assert len(client.reviews) == 1


def test_a_failed_review_is_not():
    client = ReviewingClient(tokens={"good": ApiUnavailable("away")})
    authentication = Authentication(reviews(client))
    with pytest.raises(ReviewFailed):
        authentication.user(request(token="good"))
    assert len(client.reviews) == 3  # tried again
    client.tokens["good"] = ALICE
    assert authentication.user(request(token="good")).name == "alice"


def test_a_final_refusal_of_the_api_server_is_not_tried_again():
    client = ReviewingClient(tokens={"good": ApiForbidden("no tokenreviews for you")})
    with pytest.raises(ReviewFailed, match="no tokenreviews for you"):
        reviews(client).token("good")
    assert len(client.reviews) == 1


@pytest.mark.parametrize(
    ("scheme", "token"),
    [("Basic", "good"), ("Bearer", ""), ("Bearer", " "), ("", "good"), ("Bearer", "x" * 100_000)],
)
def test_what_is_no_bearer_token_is_nobody(scheme, token):
    client = ReviewingClient(tokens={"good": ALICE})
    assert Authentication(reviews(client)).user(request(token=token, scheme=scheme)) is None
    assert client.reviews == []


def test_the_scheme_has_no_case():
    client = ReviewingClient(tokens={"good": ALICE})
    assert Authentication(reviews(client)).user(request(token="good", scheme="bEARER")).name == "alice"


def test_tokens_are_not_kept(caplog):
    caplog.set_level(logging.DEBUG)
    client = ReviewingClient(tokens={"a-secret-token": ALICE})
    authentication = Authentication(reviews(client))
    authentication.user(request(token="a-secret-token"))
    client.tokens["another-secret"] = ApiUnavailable("away")
    with pytest.raises(ReviewFailed):
        authentication.user(request(token="another-secret"))
    assert "secret" not in repr(list(authentication._tokens._known)) + caplog.text


@pytest.mark.parametrize(
    "status",
    [
        {"authenticated": "yes", "user": ALICE},
        {"authenticated": False, "user": ALICE},
        {"user": ALICE},
        {},
    ],
)
def test_only_a_plain_yes_is_a_yes(status):
    class Client:
        def create(self, *_, **__):
            return {"status": status}

    assert Reviews(Client()).token("t") is None


@pytest.mark.parametrize(
    "answer", [{}, {"status": None}, "text", {"status": {"authenticated": True, "user": {}}}]
)
def test_an_answer_that_makes_no_sense_fails(answer):
    class Client:
        def create(self, *_, **__):
            return answer

    with pytest.raises(ReviewFailed):
        Reviews(Client()).token("t")


def test_certificates_come_before_tokens_and_tokens_before_nobody(authority):
    client = ReviewingClient(tokens={"good": ALICE})
    certificate = authority.client("bob").der
    authentication = Authentication(reviews(client), anonymous=True)
    assert authentication.user(request(token="good", certificate=certificate)).name == "bob"
    assert authentication.user(request(token="good", certificate=authority.client("").der)).name == "alice"
    assert authentication.user(request(token="bad")) is None  # a wrong token is not nobody
    assert authentication.user(request()) == ANONYMOUS
    assert Authentication(reviews(client)).user(request()) is None
    assert Authentication(None).user(request(token="good")) is None


# ---------------------------------------------------------------------------------------------------------
# Rights


def test_attributes_are_the_kubelets():
    client = ReviewingClient()
    user = User("alice", "7", ("g",), {"k": ("v",)})
    assert NodeAuthorization(reviews(client), "vk").allows(user, "get", ("stats",))
    assert client.reviews[0]["spec"] == {
        "user": "alice",
        "uid": "7",
        "groups": ["g"],
        "extra": {"k": ["v"]},
        "resourceAttributes": {
            "verb": "get",
            "version": "v1",
            "resource": "nodes",
            "subresource": "stats",
            "name": "vk",
        },
    }


def test_finer_rights_are_asked_for_first():
    only_proxy = ReviewingClient(allow=lambda attributes, _: attributes["subresource"] == "proxy")
    authorization = NodeAuthorization(reviews(only_proxy), "vk")
    assert authorization.allows(User("a"), "get", ("pods", "proxy"))
    asked = [review["spec"]["resourceAttributes"]["subresource"] for review in only_proxy.reviews]
    assert asked == ["pods", "proxy"]
    only_pods = ReviewingClient(allow=lambda attributes, _: attributes["subresource"] == "pods")
    authorization = NodeAuthorization(reviews(only_pods), "vk")
    assert authorization.allows(User("a"), "get", ("pods", "proxy"))
    assert not authorization.allows(User("a"), "create", ("proxy",))


def test_verdicts_are_remembered():
    client, clock = ReviewingClient(allow=lambda _, user: user == "good"), SteppedClock()
    authorization = NodeAuthorization(reviews(client), "vk", clock=clock)

    def ask():
        return [authorization.allows(User(name), "get", ("proxy",)) for name in ("good", "bad")]

    assert (ask(), ask()) == ([True, False], [True, False])
    assert len(client.reviews) == 2
    clock.advance(31)
    ask()
    assert len(client.reviews) == 3  # the refusal
    clock.advance(270)
    ask()
    assert len(client.reviews) == 5


def test_verdicts_are_not_mixed_up():
    client = ReviewingClient(allow=lambda attributes, user: (user, attributes["verb"]) == ("a", "get"))
    authorization = NodeAuthorization(reviews(client), "vk")
    assert authorization.allows(User("a"), "get", ("proxy",))
    for user in (User("b"), User("a", "1"), User("a", groups=("g",)), User("a", extra={"k": ("v",)})):
        before = len(client.reviews)
        authorization.allows(user, "get", ("proxy",))
        assert len(client.reviews) == before + 1
    assert not authorization.allows(User("a"), "create", ("proxy",))


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ({"allowed": True}, True),
        ({"allowed": True, "denied": True}, False),
        ({"allowed": "true"}, False),
        ({"denied": True}, False),
        ({"allowed": False, "evaluationError": "webhook away"}, False),
        ({}, False),
    ],
)
def test_verdicts(status, allowed):
    client = ReviewingClient(allow=lambda *_: status)
    assert reviews(client).access(User("a"), {}) is allowed


# ---------------------------------------------------------------------------------------------------------
# The guard

EXEC = {"verb": "create"}
PODS = {"subresources": ("pods", "proxy")}


def guarded(made, client=None, attributes=PODS, authorization=None, **options):
    client = client or ReviewingClient(tokens={"alice": {"username": "alice"}, "mallory": {"username": "mallory"}},
                                       allow=lambda _, user: user in {"alice", "bob"})  # fmt: skip
    made_reviews = reviews(client)
    guard = Guard(
        Authentication(made_reviews, **options), authorization or NodeAuthorization(made_reviews, "vk")
    )
    guard(made, attributes)
    return made.user


def test_who_may_comes_in_with_a_name(authority):
    assert guarded(request(token="alice")).name == "alice"
    assert guarded(request(certificate=authority.client("bob").der)).name == "bob"


@pytest.mark.parametrize(
    ("given", "options", "status", "message"),
    [
        ({}, {}, 401, "Unauthorized"),
        ({"token": "stolen"}, {}, 401, "Unauthorized"),
        ({"token": "stolen"}, {"anonymous": True}, 401, "Unauthorized"),
        ({"token": "mallory"}, {}, 403,
         "Forbidden (user=mallory, verb=get, resource=nodes, subresource(s)=[pods proxy])"),
        ({"token": "mallory", "method": "POST"}, {}, 403,
         "Forbidden (user=mallory, verb=create, resource=nodes, subresource(s)=[pods proxy])"),
        ({}, {"anonymous": True}, 403,
         "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource(s)=[pods proxy])"),
        ({"token": "alice", "method": "BREW"}, {}, 403,
         "Forbidden (user=alice, verb=, resource=nodes, subresource(s)=[pods proxy])"),
    ],
)  # fmt: skip
def test_who_may_not(given, options, status, message):
    with pytest.raises(RequestError) as caught:
        guarded(request(**given), **options)
    assert (caught.value.status, caught.value.message) == (status, message)


def test_401_says_how():
    with pytest.raises(RequestError) as caught:
        guarded(request())
    assert caught.value.headers == (("WWW-Authenticate", "Bearer"),)


@pytest.mark.parametrize("error", [ApiUnavailable("away"), ApiForbidden("no"), ApiError("odd", status=500)])
@pytest.mark.parametrize("broken", ["tokens", "rights"])
def test_the_door_stays_closed_when_reviews_fail(error, broken):
    if broken == "tokens":
        client = ReviewingClient(tokens={"t": error})
    else:
        client = ReviewingClient(tokens={"t": {"username": "alice"}}, allow=lambda *_: error)
    for _ in range(2):
        with pytest.raises(RequestError) as caught:
            guarded(request(token="t"), client)
        assert caught.value.status == 500
        assert "away" not in caught.value.message  # what is wrong inside is for the log


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_commands_take_the_right_to_create(method):
    client = ReviewingClient(tokens={"t": {"username": "alice"}})
    guarded(request(method, token="t"), client, EXEC)
    asked = client.reviews[-1]["spec"]["resourceAttributes"]
    assert (asked["verb"], asked["subresource"]) == ("create", "proxy")


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        ("GET", "get"),
        ("HEAD", "get"),
        ("POST", "create"),
        ("PUT", "update"),
        ("PATCH", "patch"),
        ("DELETE", "delete"),
    ],
)
def test_verbs(method, verb):
    client = ReviewingClient(tokens={"t": {"username": "alice"}})
    guarded(request(method, token="t"), client, {})
    assert client.reviews[-1]["spec"]["resourceAttributes"]["verb"] == verb


def test_always_allow_still_wants_a_name():
    client = ReviewingClient(tokens={"t": {"username": "alice"}}, allow=lambda *_: False)
    assert guarded(request(token="t"), client, authorization=AlwaysAllow()).name == "alice"
    with pytest.raises(RequestError) as caught:
        guarded(request(), client, authorization=AlwaysAllow())
    assert caught.value.status == 401
    assert client.kinds() == ["TokenReview"]
