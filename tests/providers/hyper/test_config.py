from __future__ import annotations

import json

import pytest

from virtual_kubelet.errors import ConfigError, InvalidInput
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.hyper import rules
from virtual_kubelet.providers.hyper.config import load
from virtual_kubelet.providers.hyper.instances import ANNOTATION, instance_type

BOTH = {"HYPER_ACCESS_KEY": "A", "HYPER_SECRET_KEY": "S"}


def settings(tmp_path, environ, text=None):
    path = tmp_path / "hyper.toml"
    if text is not None:
        path.write_text(text)
    return load(
        ProviderConfig(
            node_name="n",
            config_path=str(path) if text is not None else "",
            environ={"HOME": str(tmp_path), **environ},
            state_dir=str(tmp_path),
        )
    )


@pytest.mark.parametrize(
    ("environ", "text", "host", "region"),
    [
        (BOTH, None, "https://us-west-1.hyper.sh:443", "us-west-1"),
        ({**BOTH, "HYPER_DEFAULT_REGION": "eu-central-1"}, None, "https://eu-central-1.hyper.sh:443", "eu-central-1"),
        ({**BOTH, "HYPER_HOST": "tcp://h:80", "HYPER_DEFAULT_REGION": "eu-central-1"}, None, "http://h:80", "us-west-1"),
        ({**BOTH, "HYPER_HOST": "tcp://eu-central-1.hyper.sh:443"}, None, "https://eu-central-1.hyper.sh:443", "eu-central-1"),
        ({**BOTH, "HYPER_HOST": "https://eu-central-1.hyper.sh"}, None, "https://eu-central-1.hyper.sh:443", "eu-central-1"),
        ({**BOTH, "HYPER_HOST": "tcp://us-west-1.hyper.sh"}, None, "https://us-west-1.hyper.sh:443", "us-west-1"),
        ({**BOTH, "HYPER_HOST": "http://h/"}, None, "http://h:80", "us-west-1"),
        ({**BOTH, "HYPER_HOST": "tcp://[::1]:8080"}, None, "http://[::1]:8080", "us-west-1"),
        ({**BOTH, "HYPER_DEFAULT_REGION": "tcp://h:80"}, None, "http://h:80", "us-west-1"),
        ({**BOTH, "HYPER_HOST": "https://h:8443", "HYPERSH_REGION": "mine"}, None, "https://h:8443", "mine"),
        ({**BOTH, "HYPER_DEFAULT_REGION": "eu-central-1"}, 'Region="us-west-1"', "https://eu-central-1.hyper.sh:443", "eu-central-1"),
        ({}, 'accessKEY="A"\nSecretKey="S"\nREGION="eu-central-1"', "https://eu-central-1.hyper.sh:443", "eu-central-1"),
        ({"HYPERSH_REGION": "eu-central-1"}, 'AccessKey="A"\nSecretKey="S"\nRegion="us-west-1"', "https://eu-central-1.hyper.sh:443", "eu-central-1"),
    ],
)  # fmt: skip
def test_endpoints(tmp_path, environ, text, host, region):
    found = settings(tmp_path, environ, text)
    assert (found.endpoint.base_url, found.keys.region) == (host, region)
    assert (found.keys.access, found.keys.secret) == ("A", "S")


FILE = 'AccessKey="A"\nSecretKey="S"'


@pytest.mark.parametrize(
    ("environ", "keys"),
    [
        ({"HYPERSH_ACCESS_KEY": "E"}, ("E", "S")),
        ({"HYPER_ACCESS_KEY": "E", "HYPER_SECRET_KEY": "F"}, ("E", "F")),
        (
            {
                "HYPERSH_ACCESS_KEY": "E",
                "HYPERSH_SECRET_KEY": "F",
                "HYPER_ACCESS_KEY": "G",
                "HYPER_SECRET_KEY": "H",
            },
            ("E", "F"),
        ),
    ],
)
def test_the_environment_beats_the_file(tmp_path, environ, keys):
    found = settings(tmp_path, environ, FILE)
    assert (found.keys.access, found.keys.secret) == keys


def test_other_endpoints_need_no_file(tmp_path):
    found = settings(
        tmp_path,
        {**BOTH, "HYPER_API_VERSION": "v1.40", "HYPER_VOLUME_DRIVER": "", "HYPER_PUBLISH_PORTS": "hostPort"},
    )
    assert (found.api_version, found.volume_driver, found.publish_all) == ("1.40", "", False)


def test_numbers_without_quotes(tmp_path):
    assert settings(tmp_path, BOTH, "CPU = 4\nPods = 7").resources == {
        "cpu": "4",
        "memory": "100Gi",
        "pods": "7",
    }


def test_the_file_may_be_named_itself(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"clouds": {"tcp://h:80": {"accesskey": "A", "secretkey": "S", "region": "r"}}}')
    found = load(ProviderConfig(node_name="n", config_path=str(path), environ={"HYPER_HOST": "tcp://h:80"}))
    assert (found.keys.access, found.keys.region) == ("A", "r")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "config.json: not JSON"),
        ("[]", "config.json: not a JSON object"),
        ("{}", '"clouds" has neither'),
        ('{"clouds": {"tcp://*.hyper.sh:443": {"accesskey": "A", "secretkey": ""}}}', "secretkey of the cloud is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_that_file(tmp_path, text, named):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=named) as caught:
        load(ProviderConfig(node_name="n", config_path=str(tmp_path), environ={}))
    assert "\n" not in str(caught.value)


def test_the_directory_of_the_services_command_line(tmp_path):
    directory = tmp_path / ".hyper"
    directory.mkdir()
    cloud = {"accesskey": "A", "secretkey": "S", "region": "eu-central-1"}
    auths = {"r.io": {"auth": "dTpw"}}
    (directory / "config.json").write_text(
        json.dumps({"clouds": {"tcp://*.hyper.sh:443": cloud}, "auths": auths})
    )
    found = settings(tmp_path, {})
    assert (found.keys.access, found.keys.region, found.registries) == (
        "A",
        "eu-central-1",
        ({"auths": auths},),
    )


@pytest.mark.parametrize(
    ("environ", "text", "named"),
    [
        ({"HYPER_ACCESS_KEY": "A"}, None, "HYPER_SECRET_KEY is not"),
        ({"HYPERSH_SECRET_KEY": "S"}, None, "HYPERSH_ACCESS_KEY is not"),
        ({}, None, "config.json: No such file"),
        ({**BOTH, "HYPER_DEFAULT_REGION": "mars"}, None, '"mars" is not known'),
        ({**BOTH, "HYPER_INSTANCE_TYPE": "xl"}, None, '"xl" is not known'),
        (BOTH, 'Colour="red"', '"Colour" is not a setting'),
        ({"HYPER_ACCESS_KEY": "A"}, FILE, "HYPER_SECRET_KEY is not"),
        ({"HYPERSH_ACCESS_KEY": "A", "HYPER_SECRET_KEY": "S"}, None, "HYPER_ACCESS_KEY is not"),
        ({}, 'AccessKey="A"', "SecretKey is not"),
        ({}, 'AccessKey="A"\nSecretKey=12345', "SecretKey must be a string in quotes$"),
        (BOTH, 'Memory="-1Gi"', "less than nothing"),
        (BOTH, 'PublishPorts="none"', 'neither "all" nor'),
        (BOTH, 'APIVersion="latest"', '"latest" is not a version'),
        ({**BOTH, "HYPER_HOST": "h:80"}, None, "is not the address"),
        ({**BOTH, "HYPER_HOST": "tcp://h:99999"}, None, "Port out of range"),
        ({**BOTH, "HYPER_HOST": "https://h/v1.23"}, None, "has a path"),
        (BOTH, 'Memory="lots"', "memory"),
        (BOTH, 'OperatingSystem="Windows"', "Windows"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_in_one_line(tmp_path, environ, text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        settings(tmp_path, environ, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "annotation", "found"),
    [
        ({}, "", "s4"),
        ({"memory": "60Mi"}, "", "s1"),
        ({"cpu": "2"}, "", "m2"),
        ({"cpu": "500m", "memory": "9Gi"}, "", "l3"),
        ({"memory": "9Gi"}, "s1", "s1"),
        ({}, "web=m1,other=l2", "m1"),
        ({}, "other=l2", "s4"),
    ],
)
def test_instance_types(asked, annotation, found):
    pod = {"metadata": {"annotations": {ANNOTATION: annotation}}, "spec": {}}
    assert instance_type(pod, {"name": "web", "resources": {"requests": asked}}, "s4") == found


@pytest.mark.parametrize(
    ("asked", "annotation"), [({"cpu": "9"}, ""), ({"memory": "17Gi"}, ""), ({}, "huge")]
)
def test_sizes_that_there_are_not(asked, annotation):
    pod = {"metadata": {"annotations": {ANNOTATION: annotation}}, "spec": {}}
    with pytest.raises(InvalidInput):
        instance_type(pod, {"name": "web", "resources": {"limits": asked}}, "s4")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"shareProcessNamespace": True}, "shareProcessNamespace"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "hostPath"),
        ({"containers": [{"name": "c", "securityContext": {"privileged": True}}]}, "privileged"),
        ({"containers": [{"name": n, "ports": [{"containerPort": 80}]} for n in "ab"]}, "both have port 80"),
    ],
)
def test_what_the_service_has_not(changes, named):
    with pytest.raises(InvalidInput, match=named):
        rules.check({"metadata": {}, "spec": {"containers": [{"name": "c"}], **changes}})


def test_an_ordinary_pod_is_fine():
    rules.check({"metadata": {}, "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}})
