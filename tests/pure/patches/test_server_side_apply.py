from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.patches import ApplyConflict, PatchError, after_update, schema_of, server_side_apply
from virtual_kubelet.pure.patches.field_sets import fields_v1, leaves
from virtual_kubelet.pure.patches.managed_fields import read_managers
from virtual_kubelet.pure.patches.server_side_apply import Conflict

POD = schema_of("", "Pod")
T1, T2, T3 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"


def pod(spec=None, **metadata):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", **metadata}, "spec": spec or {}}


def containers(*items):
    return {"containers": list(items)}


def apply(live, applied, manager="kubectl", time=T1, **more):
    before = copy.deepcopy((live, applied))
    result = server_side_apply(live, applied, POD, manager=manager, time=time, **more)
    assert (live, applied) == before
    return result


def bare(document):
    """Everything but managedFields."""
    metadata = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    return {**document, "metadata": metadata}


def owned(document, manager, operation="Apply"):
    (found,) = [one for one in read_managers(document) if (one.name, one.operation) == (manager, operation)]
    return fields_v1(found.fields)


def test_create():
    wish = pod(containers({"name": "a", "image": "x", "tty": None}), labels={"app": "web"})
    created = apply(None, wish)
    assert bare(created) == pod(containers({"name": "a", "image": "x"}), labels={"app": "web"})
    assert created["metadata"]["managedFields"] == [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": T1,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}, "f:name": {}}}},
            },
        }
    ]


def test_the_same_again_changes_nothing_not_even_the_time():
    wish = pod(containers({"name": "a", "image": "x"}), labels={"app": "web"})
    created = apply(None, wish)
    assert apply(created, wish, time=T2) == created


def test_what_is_no_longer_applied_goes():
    live = apply(None, pod({**containers({"name": "a", "image": "x", "tty": True}, {"name": "b", "image": "y"}), "nodeSelector": {"a": "1"}}, labels={"x": "1", "y": "1"}, finalizers=["f", "g"]))  # fmt: skip
    live["spec"]["containers"][1]["imagePullPolicy"] = "Always"  # a default, owned by nobody
    changed = apply(
        live, pod(containers({"name": "a", "image": "x"}), labels={"y": "1"}, finalizers=["g"]), time=T2
    )
    assert bare(changed) == pod(containers({"name": "a", "image": "x"}), labels={"y": "1"}, finalizers=["g"])
    gone = apply(changed, pod(), time=T3)
    assert bare(gone) == pod()
    assert gone["metadata"]["managedFields"] == apply(None, pod(), time=T3)["metadata"]["managedFields"]


def test_the_name_of_the_last_spec_field_stays():
    live = apply(None, pod({"hostname": "h"}))
    assert bare(apply(live, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}})) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
    }


def test_what_has_another_shape_by_now_is_left_alone():
    live = apply(None, pod({"nodeSelector": {}, "dnsConfig": {"nameservers": ["1.1.1.1"]}}))
    live["spec"]["dnsConfig"] = "odd"
    assert apply(live, pod({"nodeSelector": {}}))["spec"] == {"nodeSelector": {}, "dnsConfig": "odd"}


def test_others_fields_stay():
    live = apply(None, pod(containers({"name": "a", "image": "x"}), labels={"x": "1"}))
    theirs = apply(live, pod(containers({"name": "a", "tty": True}, {"name": "b", "image": "y"}), labels={"y": "1"}), "other", T2)  # fmt: skip
    assert bare(theirs) == pod(
        containers({"name": "a", "image": "x", "tty": True}, {"name": "b", "image": "y"}),
        labels={"x": "1", "y": "1"},
    )
    mine = apply(theirs, pod(), time=T3)
    assert bare(mine) == pod(
        containers({"name": "a", "tty": True}, {"name": "b", "image": "y"}), labels={"y": "1"}
    )
    assert "f:image" not in owned(mine, "other")["f:spec"]["f:containers"]['k:{"name":"a"}']


def test_what_two_own_goes_when_the_second_lets_go():
    live = apply(apply(None, pod(labels={"x": "1"})), pod(labels={"x": "1"}), "other", T2)
    one_left = apply(live, pod(), time=T3)
    assert one_left["metadata"]["labels"] == {"x": "1"}
    assert "labels" not in apply(one_left, pod(), "other", T3)["metadata"]


def test_items_are_kept_in_the_order_applied():
    live = apply(None, pod(containers({"name": "a"}, {"name": "b"})))
    live = apply(live, pod(containers({"name": "sidecar"})), "mesh", T2)
    again = apply(live, pod(containers({"name": "c"}, {"name": "b"}, {"name": "a"})), time=T3)
    assert [item["name"] for item in again["spec"]["containers"]] == ["c", "b", "a", "sidecar"]


def test_ports_are_told_apart_by_protocol_too():
    live = apply(None, pod(containers({"name": "a", "ports": [{"containerPort": 53}]})))
    both = apply(live, pod(containers({"name": "a", "ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]})), time=T2)  # fmt: skip
    assert both["spec"]["containers"][0]["ports"] == [
        {"containerPort": 53, "protocol": "TCP"},
        {"containerPort": 53, "protocol": "UDP"},
    ]


def test_atomic_values_are_taken_whole():
    live = apply(None, pod({"nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}]}))
    changed = apply(live, pod({"nodeSelector": {"b": "1"}, "tolerations": [{"key": "b"}]}), time=T2)
    assert changed["spec"] == {"nodeSelector": {"b": "1"}, "tolerations": [{"key": "b"}]}


def test_conflict_with_one_manager():
    live = apply(None, pod(containers({"name": "a", "image": "x"})), "ci")
    with pytest.raises(ApplyConflict) as caught:
        apply(live, pod(containers({"name": "a", "image": "y"})))
    assert (
        str(caught.value)
        == 'Apply failed with 1 conflict: conflict with "ci" using v1: .spec.containers[name="a"].image'
    )
    assert caught.value.conflicts == (Conflict('"ci" using v1', '.spec.containers[name="a"].image'),)
    assert isinstance(caught.value, PatchError)


def test_conflicts_with_several_managers():
    live = apply(None, pod({"hostname": "h", "subdomain": "s"}, labels={"x": "1"}), "ci")
    live["metadata"]["managedFields"] = after_update(live, {**live, "spec": {**live["spec"], "subdomain": "t"}}, POD, manager="edit", time=T2)  # fmt: skip
    live["spec"]["subdomain"] = "t"
    with pytest.raises(ApplyConflict) as caught:
        apply(live, pod({"hostname": "i", "subdomain": "u"}, labels={"x": "2"}))
    assert str(caught.value) == (
        'Apply failed with 3 conflicts: conflicts with "ci" using v1:\n- .metadata.labels.x\n- .spec.hostname\n'
        'conflict with "edit" using v1: .spec.subdomain'
    )


def test_force_takes_the_fields_over():
    live = apply(None, pod({"hostname": "h"}, labels={"x": "1"}), "ci")
    forced = apply(live, pod({"hostname": "i"}), time=T2, force=True)
    assert forced["spec"] == {"hostname": "i"}
    assert owned(forced, "ci") == {"f:metadata": {"f:labels": {"f:x": {}}}}
    assert owned(forced, "kubectl") == {"f:spec": {"f:hostname": {}}}


def test_the_same_value_is_shared_without_conflict():
    live = apply(None, pod({"hostname": "h"}), "ci")
    shared = apply(live, pod({"hostname": "h"}), time=T2)
    assert owned(shared, "ci") == owned(shared, "kubectl") == {"f:spec": {"f:hostname": {}}}


def test_an_applier_and_an_updater_of_one_name_are_two():
    live = pod({"hostname": "h"})
    live["metadata"]["managedFields"] = after_update(None, live, POD, manager="kubectl", time=T1)
    with pytest.raises(ApplyConflict):
        apply(live, pod({"hostname": "i"}))


def test_subresources():
    live = apply(None, pod())
    status = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"conditions": [{"type": "A", "status": "True"}]}}  # fmt: skip
    changed = apply(live, status, time=T2, subresource="status")
    assert changed["status"] == status["status"]
    assert [(one.subresource, fields_v1(one.fields)) for one in read_managers(changed)] == [
        ("", {"f:spec": {}}),
        (
            "status",
            {"f:status": {"f:conditions": {'k:{"type":"A"}': {".": {}, "f:status": {}, "f:type": {}}}}},
        ),
    ]


@pytest.mark.parametrize(
    ("applied", "message"),
    [
        ([], "an apply configuration is an object"),
        (pod(managedFields=[{"manager": "x"}]), "metadata.managedFields must be nil"),
        (pod(containers({"image": "x"})), 'omits key field "name"'),
    ],
)
def test_refused(applied, message):
    with pytest.raises(PatchError, match=message):
        apply(None, applied)


scalars = st.sampled_from(["1", "2"])
labels = st.dictionaries(st.sampled_from("abc"), scalars, max_size=3)
items = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("xyz")}, optional={"image": scalars, "env": st.lists(st.fixed_dictionaries({"name": st.sampled_from("PQ")}, optional={"value": scalars}), max_size=2, unique_by=lambda one: one["name"])}),
    max_size=3,
    unique_by=lambda one: one["name"],
)  # fmt: skip
wishes = st.builds(lambda labels, items: pod({"containers": items} if items else {}, **({"labels": labels} if labels else {})), labels, items)  # fmt: skip


@given(wishes, wishes)
def test_a_sole_manager_gets_exactly_what_it_wishes(first, second):
    live = apply(None, first)
    live = apply(live, second, time=T2)
    wished, there = leaves(second, POD), leaves(live, POD)
    assert {path: value for path, value in there.items() if value not in ([], {})} == {
        path: value for path, value in wished.items() if value not in ([], {})
    }
    assert apply(live, second, time=T3) == live


@given(wishes, wishes, wishes)
def test_with_force_everyone_has_their_wish_and_nothing_else_is_lost(mine, theirs, later):
    live = apply(None, mine)
    live = apply(live, theirs, "other", T2, force=True)
    live = apply(live, later, time=T3, force=True)
    there = leaves(live, POD)
    for path, value in leaves(later, POD).items():
        assert there.get(path) == value or value in ([], {})
    for path, value in leaves(theirs, POD).items():
        assert path in there or value in ([], {})
