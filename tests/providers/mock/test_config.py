from __future__ import annotations

import json

import pytest

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.providers.mock.config import MockConfig, load


def write(tmp_path, content):
    path = tmp_path / "mock.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_without_a_file():
    assert load("", "node") == MockConfig()


def test_the_section_of_the_node(tmp_path):
    path = write(
        tmp_path,
        {
            "other": {"cpu": "1"},
            "node": {
                "cpu": "2",
                "memory": "4Gi",
                "pods": 3,
                "others": {"nvidia.com/gpu": "1"},
                "providerID": "m://n",
            },
        },
    )
    config = load(path, "node")
    assert config.capacity() == {"cpu": "2", "memory": "4Gi", "pods": "3", "nvidia.com/gpu": "1"}
    assert config.provider_id == "m://n"


def test_a_node_without_a_section_has_the_defaults(tmp_path):
    assert load(write(tmp_path, {"other": {}}), "node") == MockConfig()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "not JSON"),
        ([], "section for each node"),
        ({"node": 1}, "node node"),
        ({"node": {"color": 1}}, "color"),
        ({"node": {"cpu": "many"}}, "cpu"),
        ({"node": {"others": []}}, "others"),
        ({"node": {"others": {"x": "y"}}}, "others.x"),
        ({"node": {"latency": "slow"}}, "latency"),
        ({"node": {"latency": True}}, "latency"),
        ({"node": {"failureRate": 2}}, "failureRate"),
        ({"node": {"providerID": 1}}, "providerID"),
    ],
)
def test_wrong_content_is_named(content, named, tmp_path):
    with pytest.raises(ConfigError, match=named):
        load(write(tmp_path, content), "node")


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match="nowhere.json"):
        load("nowhere.json", "node")
