from __future__ import annotations

import pytest

from virtual_kubelet.pure.affinity import matches_node

NODE = {"metadata": {"name": "n1", "labels": {"zone": "a", "cpus": "8", "empty": ""}}}


def expression(key, operator, *values):
    return {"key": key, "operator": operator, "values": list(values)}


def pod(*terms, selector=None):
    spec = {"nodeSelector": selector}
    if terms:
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}  # fmt: skip
    return {"metadata": {"name": "p"}, "spec": spec}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, True),
        ({}, True),
        ({"zone": "a"}, True),
        ({"zone": "a", "cpus": "8"}, True),
        ({"zone": "b"}, False),
        ({"zone": "a", "gone": "x"}, False),
        ({"gone": ""}, False),
        ({"empty": ""}, True),
    ],
)
def test_node_selectors(selector, expected):
    assert matches_node(pod(selector=selector), NODE) is expected


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (expression("zone", "In", "a", "b"), True),
        (expression("zone", "In", "b"), False),
        (expression("gone", "In", "a"), False),
        (expression("zone", "NotIn", "b"), True),
        (expression("zone", "NotIn", "a", "b"), False),
        (expression("gone", "NotIn", "a"), True),
        (expression("zone", "Exists"), True),
        (expression("gone", "Exists"), False),
        (expression("zone", "DoesNotExist"), False),
        (expression("gone", "DoesNotExist"), True),
        (expression("cpus", "Gt", "7"), True),
        (expression("cpus", "Gt", "8"), False),
        (expression("cpus", "Lt", "9"), True),
        (expression("cpus", "Lt", "8"), False),
        (expression("zone", "Gt", "1"), False),
        (expression("gone", "Lt", "1"), False),
        # not well-formed
        (expression("zone", "Bogus", "a"), False),
        (expression("zone", "In"), False),
        (expression("zone", "Exists", "a"), False),
        (expression("cpus", "Gt", "x"), False),
        ({"key": "zone"}, False),
    ],
)
def test_expressions(requirement, expected):
    assert matches_node(pod({"matchExpressions": [requirement]}), NODE) is expected


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (expression("metadata.name", "In", "n1"), True),
        (expression("metadata.name", "In", "n2"), False),
        (expression("metadata.name", "NotIn", "n2"), True),
        (expression("metadata.name", "NotIn", "n1"), False),
        (expression("metadata.name", "In", "n1", "n2"), False),
        (expression("metadata.name", "In"), False),
        (expression("metadata.name", "Exists"), False),
        ({"key": "metadata.name"}, False),
        (expression("metadata.namespace", "NotIn", "x"), False),
    ],
)
def test_fields(requirement, expected):
    assert matches_node(pod({"matchFields": [requirement]}), NODE) is expected


YES, NO = expression("zone", "In", "a"), expression("zone", "In", "b")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([{"matchExpressions": [YES, YES]}], True),
        ([{"matchExpressions": [YES, NO]}], False),
        ([{"matchExpressions": [NO]}, {"matchExpressions": [YES]}], True),
        ([{"matchExpressions": [NO]}, {"matchExpressions": [NO]}], False),
        ([{"matchExpressions": [YES], "matchFields": [expression("metadata.name", "In", "n1")]}], True),
        ([{"matchExpressions": [YES], "matchFields": [expression("metadata.name", "In", "n2")]}], False),
        ([{}], False),
        ([{"matchExpressions": []}], False),
        ([{}, {"matchExpressions": [YES]}], True),
    ],
)
def test_terms(terms, expected):
    assert matches_node(pod(*terms), NODE) is expected


def test_selector_and_affinity_together():
    assert matches_node(pod({"matchExpressions": [YES]}, selector={"zone": "a"}), NODE)
    assert not matches_node(pod({"matchExpressions": [YES]}, selector={"zone": "b"}), NODE)


def test_affinity_that_demands_nothing_or_has_no_terms():
    preferred = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}, "podAffinity": {}}
    assert matches_node({"spec": {"affinity": preferred}}, NODE)
    assert matches_node({"spec": {"affinity": None}}, NODE)
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    assert not matches_node({"spec": {"affinity": required}}, NODE)


def test_a_node_without_labels():
    assert not matches_node(pod(selector={"zone": "a"}), {"metadata": {"name": "n1"}})
    assert matches_node(pod({"matchFields": [expression("metadata.name", "In", "")]}), {"metadata": {}})


def test_names_of_nodes_may_be_longer_than_values_of_labels():
    name = ".".join(["ip-10-0-0-1"] * 12)
    assert matches_node(
        pod({"matchFields": [expression("metadata.name", "In", name)]}), {"metadata": {"name": name}}
    )
