from __future__ import annotations

import base64

import pytest

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.providers.azure.registries import translate


def auth(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        (
            {"auths": {"acr.example": {"username": "u", "password": "p"}}},
            [{"server": "acr.example", "username": "u", "password": "p"}],
        ),
        (
            {"https://index.docker.io/v1/": {"auth": auth("u:p:with:colons")}},
            [{"server": "index.docker.io", "username": "u", "password": "p:with:colons"}],
        ),
        (
            {"auths": {"acr.example": {"auth": auth("u:"), "identitytoken": "t"}}},
            [{"server": "acr.example", "username": "00000000-0000-0000-0000-000000000000", "password": "t"}],
        ),
        (
            {"auths": {"a.example:5000/team": {"username": "u", "password": "p", "email": "x"}}},
            [{"server": "a.example:5000", "username": "u", "password": "p"}],
        ),
        ({"auths": {}}, []),
        ({"auths": {"empty.example": {}}}, []),
    ],
)
def test_both_kinds_of_secrets(secret, expected):
    assert translate([secret]) == expected


def test_the_first_credential_of_a_server_wins_and_an_identity_fills_the_rest():
    secrets = [
        {"auths": {"a.example": {"username": "first", "password": "p"}}},
        {"auths": {"a.example": {"username": "second", "password": "p"}}},
    ]
    assert translate(secrets, ("a.example", "https://b.example"), "/identity") == [
        {"server": "a.example", "username": "first", "password": "p"},
        {"server": "b.example", "identity": "/identity"},
    ]


@pytest.mark.parametrize("broken", ["not base64!", base64.b64encode(b"\xff\xfe").decode()])
def test_a_broken_login_is_named_and_not_quoted(broken):
    with pytest.raises(InvalidInput) as caught:
        translate([{"auths": {"a.example": {"auth": broken}}}])
    assert "a.example" in str(caught.value)
    assert broken not in str(caught.value)


def test_a_secret_without_registries():
    with pytest.raises(InvalidInput, match="no object of registries"):
        translate([{"auths": "x"}])
