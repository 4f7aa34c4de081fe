"""Making container groups, against a fake ARM over real HTTP."""

from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, Unauthorized, Unavailable
from virtual_kubelet.providers.azure import creation
from virtual_kubelet.providers.azure import transport as transport_module
from virtual_kubelet.pure.backoff import Backoff

QUICK = Backoff(initial=0.001, maximum=0.002)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(creation, "PAUSES", QUICK)
    monkeypatch.setattr(transport_module, "PAUSES", QUICK)


def phase(provider, name="web"):
    status = provider.get_pod_status("default", name)
    return status and status["phase"]


def test_a_pod_from_its_creation_to_its_end(arm, provider):
    pod = make_pod(restartPolicy="Never")
    provider.create_pod(pod)
    assert phase(provider) == "Pending"
    arm.time.advance(10)
    assert phase(provider) == "Running"
    arm.of_pod("web").terminate("main", exit_code=3)
    (listed,) = provider.get_pods()
    assert listed["status"]["phase"] == "Failed"
    assert listed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    provider.delete_pod(pod)
    arm.time.advance(10)
    assert phase(provider) is None
    assert provider.get_pods() == []
    with pytest.raises(NotFound):
        provider.delete_pod(pod)


def test_told_twice_it_is_made_once(arm, provider):
    pod = make_pod()
    provider.create_pod(pod)
    provider.create_pod(pod)
    assert arm.count("PUT") == 1


@pytest.mark.parametrize("kind", ["503-after", "cut-after", "500-after", "garbage"])
def test_an_answer_that_was_lost_is_looked_up(arm, provider, kind):
    provider.get_pods()
    arm.faults.add(kind, method="PUT", times=1)
    provider.create_pod(make_pod())
    assert (arm.count("PUT"), arm.count("GET", "containerGroups/")) == (1, 1)
    assert len(arm.groups.created) == 1


@pytest.mark.parametrize("kind", ["503", "cut", "500", "html"])
def test_what_was_not_taken_is_made_after_all(arm, provider, kind):
    provider.get_pods()
    arm.faults.add(kind, method="PUT", times=2)
    provider.create_pod(make_pod())
    assert arm.count("PUT") == 3
    assert len(arm.groups.created) == 1


def test_what_stays_unclear_is_looked_up_before_the_next_try(arm, provider):
    provider.get_pods()
    pod = make_pod()
    lost = arm.faults.add("503-after", method="PUT", times=1)
    silent = arm.faults.add("503", method="GET", path="containerGroups/")
    with pytest.raises(Unavailable):
        provider.create_pod(pod)
    lost.times = silent.times = 0
    provider.create_pod(pod)
    assert arm.count("PUT") == 1
    assert phase(provider) == "Pending"


def test_what_arm_took_without_telling_turns_up_in_the_list(arm, provider):
    provider.get_pods()
    arm.faults.add("503-after", method="PUT", times=1)
    silent = arm.faults.add("503", method="GET", path="containerGroups/")
    with pytest.raises(Unavailable):
        provider.create_pod(make_pod())
    silent.times = 0
    assert [pod["metadata"]["name"] for pod in provider.get_pods()] == ["web"]


def test_after_a_restart_nothing_is_made_twice(arm, make_provider):
    pod = make_pod()
    make_provider().create_pod(pod)
    make_provider().create_pod(pod)  # a new process that has not listed yet
    assert arm.count("PUT") == 1


def test_a_group_of_that_name_that_is_not_ours_is_left_alone(arm, provider, make_provider):
    pod = make_pod()
    provider.create_pod(pod)
    arm.of_pod("web").body["tags"]["UID"] = "another"
    with pytest.raises(Conflict, match="is not this pod's"):
        make_provider().create_pod(pod)
    assert arm.count("PUT") == 1


@pytest.mark.parametrize(
    ("kind", "code", "error", "words"),
    [
        ("409", "ContainerGroupTransitioning", Conflict, "ContainerGroupTransitioning"),
        ("409", "ServiceUnavailable", Unavailable, "no room in westeurope"),
        ("401", "AuthenticationFailed", Unauthorized, "AuthenticationFailed"),
        ("429", "TooManyRequests", Unavailable, "429"),
    ],
)
def test_refusals_in_azures_words(arm, provider, kind, code, error, words):
    provider.get_pods()
    arm.faults.add(kind, method="PUT", code=code, message="no room in westeurope", retry_after="60")
    with pytest.raises(error) as caught:
        provider.create_pod(make_pod())
    assert words in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_quota(arm, provider):
    arm.groups.quota = 0
    with pytest.raises(Unavailable, match="ContainerGroupQuotaReached: .*'ContainerGroups' exceeded"):
        provider.create_pod(make_pod())
    arm.groups.quota = 1
    provider.create_pod(make_pod())


def test_a_refusal_that_passes_is_not_repeated_at_once(arm, provider):
    arm.faults.add("400", method="PUT", code="InaccessibleImage", message="not there", times=1)
    with pytest.raises(Unavailable, match="InaccessibleImage: not there") as caught:
        provider.create_pod(make_pod())
    assert caught.value.retry_after == 20


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [
        ("401", "AuthenticationFailed", Unauthorized),
        ("409", "ContainerGroupTransitioning", Conflict),
    ],
)
def test_no_refusal_that_may_pass_is_repeated_at_once(arm, provider, kind, code, error):
    arm.faults.add(kind, method="PUT", code=code, message="no")
    with pytest.raises(error) as caught:
        provider.create_pod(make_pod())
    assert caught.value.retry_after == 20


def test_what_arm_finds_invalid_is_final(arm, provider):
    with pytest.raises(InvalidInput, match="InvalidContainerName"):
        provider.create_pod(make_pod(containers=[{"name": "UPPER", "image": "i"}]))


def test_a_refused_pod_never_reaches_arm(arm, provider):
    with pytest.raises(InvalidInput, match="spec.hostNetwork"):
        provider.create_pod(make_pod(hostNetwork=True))
    assert arm.count("PUT") == 0


def test_no_room_found_later_is_told_and_tried_again(arm, provider, context):
    pod = make_pod()
    context.bound = [pod]
    failing = arm.faults.add(
        "provisioning-fails", method="PUT", code="ServiceUnavailable", message="no capacity"
    )
    provider.create_pod(pod)
    arm.time.advance(10)
    assert provider.get_pods() == []  # to be made again
    with pytest.raises(Unavailable, match="ServiceUnavailable: no capacity") as caught:
        provider.create_pod(pod)
    assert caught.value.retry_after
    failing.times = 0
    provider.create_pod(pod)
    arm.time.advance(10)
    assert [item["status"]["phase"] for item in provider.get_pods()] == ["Running"]
    assert len(arm.groups.all()) == 1


@pytest.mark.parametrize("kind", ["503", "503-after"])
def test_what_is_made_again_is_not_taken_for_what_failed_before(arm, provider, context, kind):
    pod = make_pod()
    context.bound = [pod]
    provider.get_pods()
    arm.faults.add(
        "provisioning-fails", method="PUT", code="ServiceUnavailable", message="no capacity", times=1
    )
    provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    with pytest.raises(Unavailable):
        provider.create_pod(pod)
    arm.faults.add(kind, method="PUT", times=1)
    provider.create_pod(pod)
    assert phase(provider) == "Pending"
    arm.time.advance(10)
    assert phase(provider) == "Running"


def test_a_failure_whose_cause_was_lost_is_tried_once_more(arm, provider, context):
    pod = make_pod()
    context.bound = [pod]
    provider.get_pods()
    arm.faults.add(
        "provisioning-fails", method="PUT", code="ServiceUnavailable", message="no capacity", times=1
    )
    arm.faults.add("cut-after", method="PUT", times=1)
    provider.create_pod(pod)
    arm.time.advance(10)
    assert phase(provider) is None
    with pytest.raises(Unavailable, match="Azure's answer to the creation was lost"):
        provider.create_pod(pod)
    provider.create_pod(pod)
    arm.time.advance(10)
    assert phase(provider) == "Running"


def test_a_cause_that_was_lost_is_told_by_events(arm, provider, context):
    pod = make_pod()
    context.bound = [pod]
    provider.get_pods()
    arm.faults.add("provisioning-fails", method="PUT", times=1)
    arm.faults.add("cut-after", method="PUT", times=1)
    provider.create_pod(pod)
    arm.of_pod("web").event("Pulling", "pulling image")
    arm.of_pod("web").event("Failed", "no such share", "Warning")
    arm.time.advance(10)
    (listed,) = provider.get_pods()
    assert (listed["status"]["phase"], listed["status"]["message"]) == ("Failed", "Failed: no such share")


def test_a_failure_of_which_no_operation_tells(arm, provider, context):
    arm.names_operations = False
    pod = make_pod()
    context.bound = [pod]
    arm.faults.add("provisioning-fails", method="PUT", times=1)
    provider.create_pod(pod)
    arm.of_pod("web").event("Failed", "no such share", "Warning")
    arm.time.advance(10)
    (listed,) = provider.get_pods()
    assert (listed["status"]["phase"], listed["status"]["message"]) == ("Failed", "no such share")


def test_a_group_that_failed_while_it_was_made_is_a_failed_pod(arm, provider, context):
    pod = make_pod()
    context.bound = [pod]
    arm.faults.add("provisioning-fails", method="PUT", code="VolumeMountFailed", message="no such share")
    provider.create_pod(pod)
    arm.time.advance(10)
    (listed,) = provider.get_pods()
    assert listed["status"]["phase"] == "Failed"
    assert listed["status"]["message"] == "VolumeMountFailed: no such share"


def test_a_group_that_arm_took_and_lost_is_told_with_its_words(arm, provider, context):
    pod = make_pod()
    context.bound = [pod]
    arm.faults.add("provisioning-fails", method="PUT", code="QuotaExceeded", message="none left", times=1)
    provider.create_pod(pod)
    assert len(provider.get_pods()) == 1
    arm.time.advance(10)
    group = arm.of_pod("web")
    arm.groups.groups.clear()
    original = arm._operation
    arm._operation = lambda name: (
        original(name)
        if name != group.operation
        else {
            "status": "Failed",
            "error": {"code": "QuotaExceeded", "message": "none left"},
        }
    )
    assert provider.get_pods() == []
    with pytest.raises(Unavailable, match="QuotaExceeded: none left"):
        provider.create_pod(pod)
    provider.create_pod(pod)
    assert len(arm.groups.created) == 2


def test_what_is_not_enforced_is_said_once(arm, provider, context):
    provider.create_pod(
        make_pod(containers=[{"name": "main", "image": "i", "securityContext": {"runAsNonRoot": True}}])
    )
    assert context.reasons() == ["NotEnforced"]
    assert "spec.containers[0].securityContext.runAsNonRoot" in context.events[0][3]


def test_secrets_volumes_and_registries(arm, provider, context):
    context.secrets = {"main": {"TOKEN"}}
    context.volumes = {
        "storage": {"azurestorageaccountname": b"a", "azurestorageaccountkey": b"k"},
        "c": {"f": b"x"},
    }
    context.registries = [{"auths": {"acr.example": {"username": "u", "password": "p"}}}]
    pod = make_pod(
        imagePullSecrets=[{"name": "pull"}],
        volumes=[
            {"name": "s", "azureFile": {"shareName": "share", "secretName": "storage"}},
            {"name": "c", "configMap": {"name": "config"}},
        ],
        containers=[
            {
                "name": "main",
                "image": "i",
                "env": [{"name": "TOKEN", "value": "t0ken"}],
                "volumeMounts": [{"name": "s", "mountPath": "/s"}, {"name": "c", "mountPath": "/c"}],
            }
        ],
    )
    provider.create_pod(pod)
    properties = arm.bodies[-1]["properties"]
    assert properties["containers"][0]["properties"]["environmentVariables"] == [
        {"name": "TOKEN", "secureValue": "t0ken"}
    ]
    assert properties["volumes"][0]["azureFile"]["storageAccountKey"] == "k"
    assert properties["volumes"][1] == {"name": "c", "secret": {"f": "eA=="}}
    assert properties["imageRegistryCredentials"][0]["password"] == "p"


def test_a_missing_reference_is_waited_for(arm, provider, context):
    context.failure = Unavailable('configmap "config" not found')
    pod = make_pod(
        volumes=[{"name": "c", "configMap": {"name": "config"}}],
        containers=[{"name": "main", "image": "i", "volumeMounts": [{"name": "c", "mountPath": "/c"}]}],
    )
    with pytest.raises(Unavailable, match="not found"):
        provider.create_pod(pod)
    context.failure = None
    provider.create_pod(pod)


def test_without_an_agent_a_pod_can_hold_only_its_own(arm, make_provider):
    alone = make_provider(bind=False)
    alone.create_pod(make_pod())
    with pytest.raises(Unavailable, match="needs an agent"):
        alone.create_pod(
            make_pod(
                "other",
                volumes=[{"name": "c", "configMap": {"name": "config"}}],
                containers=[
                    {"name": "main", "image": "i", "volumeMounts": [{"name": "c", "mountPath": "/c"}]}
                ],
            )
        )


SUBNET = "/subscriptions/sub-1/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/aci"
OURS = {"name": "aciDelegation", "properties": {"serviceName": "Microsoft.ContainerInstance/containerGroups"}}


def test_a_subnet_is_made_where_its_range_is_configured(arm, make_provider):
    provider = make_provider(ACI_SUBNET_NAME=SUBNET, ACI_SUBNET_CIDR="10.241.0.0/16")
    provider.create_pod(make_pod())
    provider.create_pod(make_pod("other"))
    assert arm.subnets[SUBNET] == {"properties": {"addressPrefix": "10.241.0.0/16", "delegations": [OURS]}}
    assert arm.count("PUT", "subnets") == 1
    arm.time.advance(10)
    assert provider.get_pod_status("default", "web")["podIP"].startswith("10.240.")


def test_a_subnet_that_is_being_made_is_waited_for(arm, make_provider):
    provider = make_provider(ACI_SUBNET_NAME=SUBNET, ACI_SUBNET_CIDR="10.241.0.0/16")
    arm.subnet_state = "Updating"
    for _ in range(2):
        with pytest.raises(Unavailable, match="is being prepared"):
            provider.create_pod(make_pod())
    assert arm.count("PUT") == arm.count("PUT", "subnets") == 1
    arm.subnet_state = "Succeeded"
    provider.create_pod(make_pod())
    assert arm.count("PUT", "containerGroups") == 1


def test_a_subnet_that_is_there_is_delegated(arm, make_provider):
    arm.subnets[SUBNET] = {
        "properties": {"addressPrefixes": ["10.241.0.0/16"], "delegations": []},
        "etag": "e",
    }
    make_provider(ACI_SUBNET_NAME=SUBNET, ACI_SUBNET_CIDR="10.241.0.0/16").create_pod(make_pod())
    assert arm.subnets[SUBNET]["properties"]["delegations"] == [OURS]
    assert arm.subnets[SUBNET]["etag"] == "e"


def test_a_subnet_of_another_range_is_not_touched(arm, make_provider):
    arm.subnets[SUBNET] = {"properties": {"addressPrefix": "10.9.0.0/16"}}
    with pytest.raises(Exception, match="correct SubnetCIDR"):
        make_provider(ACI_SUBNET_NAME=SUBNET, ACI_SUBNET_CIDR="10.241.0.0/16").create_pod(make_pod())
    assert arm.count("PUT") == 0


def test_a_subnet_without_a_range_is_the_operators(arm, make_provider):
    make_provider(ACI_SUBNET_NAME=SUBNET).create_pod(make_pod())
    assert arm.count("GET", "subnets") == 0
