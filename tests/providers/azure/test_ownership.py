from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from support.pods import make_pod

from virtual_kubelet.providers.azure.ownership import Identity, Owner, group_name

LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
SUBDOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
RULE = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){0,61}[a-z0-9]")
OWNER = Owner("vk", "cluster-1")
IDENTITY = Identity("ns", "web", "uid-1", "2026-01-01T00:00:00Z")


@settings(max_examples=200)
@given(LABEL, SUBDOMAIN, st.uuids().map(str))
def test_every_name_is_valid(namespace, name, uid):
    assert RULE.fullmatch(group_name(Identity(namespace, name, uid)))


def test_names_that_the_go_provider_confused():
    names = {
        group_name(Identity("a-b", "c", "u")),
        group_name(Identity("a", "b-c", "u")),
        group_name(Identity("a", "b.c", "u")),
        group_name(Identity("a", "b-c", "v")),
        group_name(Identity("a", "x" * 100, "u")),
        group_name(Identity("a", "x" * 101, "u")),
    }
    assert len(names) == 6


def test_a_name_can_be_read_and_stays_the_same():
    assert group_name(IDENTITY).startswith("ns-web-")
    assert group_name(IDENTITY) == group_name(Identity("ns", "web", "uid-1", "another time"))


def test_tags_say_whose_a_group_is():
    tags = OWNER.tags(Identity.of(make_pod("web", "ns", uid="uid-1")))
    assert tags == {
        "PodName": "web",
        "ClusterName": "cluster-1",
        "NodeName": "vk",
        "Namespace": "ns",
        "UID": "uid-1",
        "CreationTimestamp": "2026-01-01T00:00:00Z",
    }
    assert OWNER.identify({"tags": tags}) == IDENTITY


def test_the_case_of_tag_names_does_not_matter():
    tags = {name.upper(): value for name, value in OWNER.tags(IDENTITY).items()}
    assert OWNER.identify({"tags": tags}) == IDENTITY


def test_foreign_groups():
    ours = OWNER.tags(IDENTITY)
    for group in (
        {},
        {"tags": None},
        {"tags": {}},
        {"tags": {**ours, "NodeName": "another"}},
        {"tags": {**ours, "UID": ""}},
        {"tags": {**ours, "ClusterName": "another"}},
    ):
        assert OWNER.identify(group) is None


def test_a_group_with_no_clusters_name_is_ours():
    tags = {**OWNER.tags(IDENTITY), "ClusterName": ""}
    assert OWNER.identify({"tags": tags}) == IDENTITY
    del tags["ClusterName"]
    assert OWNER.identify({"tags": tags}) == IDENTITY


def test_without_our_clusters_id_only_pods_that_we_know_are_ours():
    group = {"tags": OWNER.tags(IDENTITY)}
    unknown = Owner("vk")
    assert unknown.identify(group) is None
    assert unknown.identify(group, {"uid-1"}) == IDENTITY
