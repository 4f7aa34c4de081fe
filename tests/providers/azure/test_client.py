from __future__ import annotations

import pytest
import responses
from responses import matchers
from support.azure.configs import azure_config

from virtual_kubelet.errors import Conflict, NotFound, Unavailable
from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.providers.azure import parts
from virtual_kubelet.runtime.clock import SYSTEM

ARM = "https://arm.example"
GROUPS = f"{ARM}/subscriptions/sub/resourceGroups/group/providers/Microsoft.ContainerInstance/containerGroups"
LOCATION = f"{ARM}/subscriptions/sub/providers/Microsoft.ContainerInstance/locations/westeurope"
VERSION = {"api-version": "2023-05-01"}


@pytest.fixture
def client():
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        mock.post("https://login.example/t/oauth2/token", json={"access_token": "x", "expires_in": 3600})
        connection = parts.connect(azure_config(), SYSTEM)
        connection.client.mock = mock
        yield connection.client
        connection.client.close()


def query(**more):
    return matchers.query_param_matcher({**VERSION, **more})


def test_pages_of_a_list(client):
    client.mock.get(
        GROUPS, match=[query()], json={"value": [{"name": "a"}], "nextLink": f"{GROUPS}?api-version=1&t=2"}
    )
    client.mock.get(
        GROUPS,
        match=[matchers.query_param_matcher({"api-version": "1", "t": "2"})],
        json={"value": [{"name": "b"}], "nextLink": None},
    )
    pages = []
    assert client.list_all(take=lambda: pages.append(1)) == [{"name": "a"}, {"name": "b"}]
    assert len(pages) == 2


@pytest.mark.parametrize("value", [None, [], ["nonsense"]])
def test_a_list_of_nothing(client, value):
    client.mock.get(GROUPS, json={"value": value})
    assert client.list_all() == []


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "json": {"error": {"code": "ResourceGroupNotFound", "message": "no group"}}},
        {"status": 404, "json": {}},
        {"json": {"groups": []}},
        {"json": []},
        {"json": {"value": [], "nextLink": f"{GROUPS}?again=1"}},
    ],
)
def test_a_list_is_whole_or_an_error(client, answer):
    client.mock.get(GROUPS, **answer)
    with pytest.raises(Unavailable):
        client.list_all()


def test_a_group_that_is_not_there(client):
    client.mock.get(f"{GROUPS}/web", status=404, json={"error": {"code": "ResourceNotFound"}})
    assert client.get("web") is None


def test_a_resource_group_that_is_not_there_says_nothing_about_its_groups(client):
    client.mock.get(f"{GROUPS}/web", status=404, json={"error": {"code": "ResourceGroupNotFound"}})
    with pytest.raises(Unavailable, match="ResourceGroupNotFound"):
        client.get("web")


def test_put(client):
    headers = {"Azure-AsyncOperation": f"{LOCATION}/operations/1"}
    client.mock.put(f"{GROUPS}/web", status=201, json={"name": "web"}, headers=headers, match=[query()])
    written = client.put("web", {"location": "x"})
    assert (written.group, written.operation) == ({"name": "web"}, f"{LOCATION}/operations/1")


def test_put_may_be_accepted_without_a_body(client):
    client.mock.put(f"{GROUPS}/web", status=202, headers={"Location": "/op"})
    assert client.put("web", {}).operation == "/op"


def test_put_into_nothing_is_not_the_pods_fault(client):
    client.mock.put(f"{GROUPS}/web", status=404, json={"error": {"code": "ResourceNotFound"}})
    with pytest.raises(Unavailable):
        client.put("web", {})


@pytest.mark.parametrize(("status", "there"), [(200, True), (202, True), (204, False), (404, False)])
def test_delete(client, status, there):
    client.mock.delete(f"{GROUPS}/web", status=status, match=[query()])
    assert client.delete("web") is there


def test_delete_of_what_is_in_transition(client):
    client.mock.delete(f"{GROUPS}/web", status=409, json={"error": {"code": "ContainerGroupTransitioning"}})
    with pytest.raises(Conflict):
        client.delete("web")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"json": {"status": "InProgress"}}, ""),
        ({"json": {"status": "Succeeded"}}, ""),
        ({"status": 202}, ""),
        ({"status": 404}, ""),
        (
            {"json": {"status": "Failed", "error": {"code": "Quota", "message": "none left"}}},
            "Quota: none left",
        ),
        ({"status": 409, "json": {"error": {"code": "Quota", "message": "none left"}}}, "Quota: none left"),
        ({"json": {"status": "Canceled"}}, "Failed: Azure gives no reason"),
    ],
)
def test_outcomes_of_operations(client, answer, said):
    client.mock.get(f"{LOCATION}/operations/1", **answer)
    assert client.outcome(f"{LOCATION}/operations/1?api-version=2023-05-01") == said


def test_logs(client):
    path = f"{GROUPS}/web/containers/main/logs"
    client.mock.get(path, match=[query()], json={"content": "all"})
    client.mock.get(path, match=[query(tail="3", timestamps="true")], json={"content": None})
    assert client.logs("web", "main") == "all"
    assert client.logs("web", "main", tail=3, timestamps=True) == ""


def test_sessions(client):
    body = {"command": "sh -c 'a b'", "terminalSize": {"rows": 24, "cols": 80}}
    answer = {"webSocketUri": "wss://x", "password": "s3cret"}
    client.mock.post(
        f"{GROUPS}/web/containers/main/exec", match=[query(), matchers.json_params_matcher(body)], json=answer
    )
    client.mock.post(f"{GROUPS}/web/containers/main/attach", match=[query()], json=answer)
    session = client.exec("web", "main", "sh -c 'a b'", TerminalSize(80, 24))
    assert (session.uri, session.password) == ("wss://x", "s3cret")
    assert "s3cret" not in repr(session)
    assert client.attach("web", "main").uri == "wss://x"


def test_a_session_without_an_address(client):
    client.mock.post(f"{GROUPS}/web/containers/main/attach", json={})
    with pytest.raises(Unavailable, match="webSocketUri"):
        client.attach("web", "main")


def test_a_container_that_is_not_there(client):
    client.mock.get(f"{GROUPS}/web/containers/a%2Fb/logs", status=404)
    with pytest.raises(NotFound):
        client.logs("web", "a/b")


def test_usages_and_metrics(client):
    client.mock.get(f"{LOCATION}/usages", match=[query()], json={"value": [{"limit": 1}, "nonsense"]})
    assert client.usages() == [{"limit": 1}]
    wanted = {
        "api-version": "2018-01-01",
        "metricnames": "CpuUsage,MemoryUsage",
        "aggregation": "average",
        "interval": "PT1M",
        "timespan": "a/b",
        "$filter": "containerName eq '*'",
    }
    client.mock.get(
        f"{GROUPS}/web/providers/microsoft.Insights/metrics",
        match=[matchers.query_param_matcher(wanted)],
        json={"value": []},
    )
    assert client.metrics("web", "a/b") == {"value": []}


def test_tags_and_stop(client):
    client.mock.patch(
        f"{GROUPS}/web", match=[query(), matchers.json_params_matcher({"tags": {"a": "b"}})], json={}
    )
    client.patch_tags("web", {"a": "b"})
    client.mock.post(f"{GROUPS}/web/stop", match=[query()], status=204)
    client.stop("web")
