"""Who may do what: credentials, RBAC, nodes, service accounts, reviews."""

from __future__ import annotations

import base64
import json

import pytest
import urllib3
from support.devapi import Api, node, pod, register

from virtual_kubelet.runtime.threads import Deadline

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


@pytest.fixture
def as_user(plane):
    """Return a function that makes a client of a user."""
    clients = []

    def make(name, *groups):
        clients.append(Api(plane, token=plane.token(name, groups)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def as_node(as_user):
    return as_user("system:node:n1", "system:nodes")


def review(api, kind, spec, group="authorization.k8s.io"):
    plural = f"{kind.lower()}s"
    answer = api.create(f"/apis/{group}/v1/{plural}", {"spec": spec})
    assert answer.status == 201, answer.data
    return answer.json["status"]


# ---------------------------------------------------------------------------------------------------------
# Credentials


@pytest.mark.parametrize("token", ["", "wrong"])
def test_strangers_are_turned_away(plane, token):
    api = Api(plane, token=token)
    for path in (PODS, "/api", "/version", "/openapi/v3"):
        answer = api.get(path)
        assert (answer.status, answer.json["reason"]) == (401, "Unauthorized")
    assert api.get("/healthz").data == b"ok"
    assert api.get("/readyz").status == 200
    api.close()


def test_plain_http_is_not_spoken(plane):
    pool = urllib3.PoolManager(retries=False)
    assert pool.request("GET", plane.url.replace("https", "http")).status == 400
    pool.clear()


def test_certificates_of_our_ca_name_a_user(plane, tmp_path):
    certificate, key = plane.client_certificate("system:node:n1", ["system:nodes"])
    (tmp_path / "pair").write_bytes(certificate + key)
    pool = urllib3.PoolManager(
        ca_cert_data=plane.ca.decode(),
        cert_file=str(tmp_path / "pair"),
        cert_reqs="CERT_REQUIRED",
        retries=False,
    )
    body = json.dumps({"spec": {}}).encode()
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = pool.request("POST", plane.url + path, body=body, headers={"Content-Type": "application/json"})
    info = json.loads(answer.data)["status"]["userInfo"]
    assert info == {"username": "system:node:n1", "groups": ["system:nodes", "system:authenticated"]}
    pool.clear()


def test_the_kubelet_client_ca_is_another_one(plane):
    assert plane.kubelet_client_ca != plane.ca
    assert plane.kubelet_client_ca.startswith(b"-----BEGIN CERTIFICATE-----")


def test_nodes_learn_by_whom_their_callers_certificates_are_signed(api, plane):
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    data = api.get(path).json["data"]
    assert data["client-ca-file"].encode() == plane.ca + plane.kubelet_client_ca
    plane.stop(Deadline(10))
    plane.start()
    assert api.get(path).json["data"] == data


def test_kubeconfig_is_for_its_owner_alone(plane, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("something else")
    plane.write_kubeconfig(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["kubeconfig"]


# ---------------------------------------------------------------------------------------------------------
# RBAC


def test_nothing_is_allowed_that_no_role_allows(as_user):
    bob = as_user("bob")
    answer = bob.get(PODS)
    assert answer.status == 403
    assert answer.json["message"] == (
        'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    assert bob.get("/api/v1/nodes/n1").json["message"].endswith('in API group "" at the cluster scope')
    assert bob.get("/api").status == 200
    assert bob.get("/metrics").status == 403


def test_roles_and_bindings(api, as_user):
    role = {
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    }
    api.create(f"{RBAC}/namespaces/default/roles", role)
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "team"}],
    }
    api.create(f"{RBAC}/namespaces/default/rolebindings", binding)
    ann = as_user("ann", "team")
    assert ann.get(PODS).status == 200
    assert ann.get(f"{PODS}/web").status == 404
    assert ann.get("/api/v1/pods").status == 403
    assert ann.get("/api/v1/namespaces/kube-system/pods").status == 403
    assert ann.get(f"{PODS}/web/log").status == 403
    assert ann.create(PODS, pod()).status == 403
    changed = api.merge(f"{RBAC}/namespaces/default/rolebindings/reader", {"roleRef": {"name": "other"}})
    assert "cannot change roleRef" in changed.json["message"]


def test_subresources_names_and_wildcards(api, as_user):
    rules = [
        {"apiGroups": [""], "resources": ["*/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["*"]},
        {"nonResourceURLs": ["/logs/*"], "verbs": ["get"]},
    ]
    api.create(f"{RBAC}/clusterroles", {"metadata": {"name": "some:role"}, "rules": rules})
    binding = {
        "metadata": {"name": "some:role"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "some:role"},
        "subjects": [{"kind": "User", "name": "bob"}],
    }
    api.create(f"{RBAC}/clusterrolebindings", binding)
    bob = as_user("bob")
    assert bob.strategic(f"{PODS}/web/status", {}).status == 404
    assert bob.strategic(f"{PODS}/web", {}).status == 403
    assert bob.get(f"{MAPS}/mine").status == 404
    assert bob.get(f"{MAPS}/other").status == 403
    assert bob.get("/logs/x").status == 404


def test_impersonation(api, as_user):
    headers = {"Impersonate-User": "bob", "Impersonate-Group": "team"}
    assert api.get(PODS, headers=headers).status == 403
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    info = api.create(path, {"spec": {}}, headers=headers).json["status"]["userInfo"]
    assert info == {"username": "bob", "groups": ["team", "system:authenticated"]}
    answer = as_user("bob").get(PODS, headers={"Impersonate-User": "admin"})
    assert 'cannot impersonate resource "users"' in answer.json["message"]


def test_access_reviews(api, as_user):
    attributes = {"verb": "get", "resource": "nodes", "subresource": "proxy", "name": "n1"}
    spec = {"resourceAttributes": attributes, "user": "bob"}
    assert review(api, "SubjectAccessReview", spec)["allowed"] is False
    masters = {**spec, "groups": ["system:masters"]}
    assert review(api, "SubjectAccessReview", masters)["allowed"] is True
    assert (
        review(as_user("bob"), "SelfSubjectAccessReview", {"resourceAttributes": attributes})["allowed"]
        is False
    )
    other = {"nonResourceAttributes": {"path": "/api", "verb": "get"}}
    assert review(as_user("bob"), "SelfSubjectAccessReview", other)["allowed"] is True
    rules = review(as_user("bob"), "SelfSubjectRulesReview", {"namespace": "default"})
    assert any("selfsubjectaccessreviews" in rule["resources"] for rule in rules["resourceRules"])


# ---------------------------------------------------------------------------------------------------------
# Service accounts


def test_tokens_of_service_accounts(api, plane):
    answer = api.create(f"{ACCOUNT}/token", {"spec": {"expirationSeconds": 600}})
    assert answer.status == 201
    token = answer.json["status"]["token"]
    status = review(api, "TokenReview", {"token": token}, "authentication.k8s.io")
    assert status["authenticated"] is True
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    assert "system:serviceaccounts:default" in status["user"]["groups"]
    robot = Api(plane, token=token)
    assert robot.get(PODS).status == 403
    api.delete(ACCOUNT)
    assert robot.get(PODS).status == 401
    robot.close()


def test_audiences(api):
    token = api.create(f"{ACCOUNT}/token", {"spec": {"audiences": ["vault"]}}).json["status"]["token"]
    assert "authenticated" not in review(api, "TokenReview", {"token": token}, "authentication.k8s.io")
    spec = {"token": token, "audiences": ["vault", "other"]}
    status = review(api, "TokenReview", spec, "authentication.k8s.io")
    assert status["audiences"] == ["vault"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == ["vault"]
    assert claims["sub"] == "system:serviceaccount:default:default"


def test_a_token_dies_with_its_pod(api):
    made = api.create(PODS, pod(spec={"nodeName": "n1"})).json
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": made["metadata"]["uid"]}
    token = api.create(f"{ACCOUNT}/token", {"spec": {"boundObjectRef": bound}}).json["status"]["token"]
    status = review(api, "TokenReview", {"token": token}, "authentication.k8s.io")
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["web"]
    api.delete(f"{PODS}/web", {"gracePeriodSeconds": 0})
    assert "authenticated" not in review(api, "TokenReview", {"token": token}, "authentication.k8s.io")


def test_token_requests_that_are_refused(api):
    path = f"{ACCOUNT}/token"
    assert api.create(path, {"spec": {"expirationSeconds": 5}}).status == 422
    gone = {"kind": "Pod", "name": "nobody"}
    assert api.create(path, {"spec": {"boundObjectRef": gone}}).status == 404
    api.create(PODS, pod())
    other = {"kind": "Pod", "name": "web", "uid": "another"}
    assert api.create(path, {"spec": {"boundObjectRef": other}}).status == 409
    assert api.create("/api/v1/namespaces/default/serviceaccounts/nobody/token", {}).status == 404


def test_others_can_verify_tokens(api, as_user):
    key = api.get("/openid/v1/jwks").json["keys"][0]
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")
    assert "private" not in json.dumps(key)
    assert (
        api.get("/.well-known/openid-configuration").json["issuer"].startswith("https://kubernetes.default")
    )


def test_a_forged_token_is_none(api, plane):
    token = api.create(f"{ACCOUNT}/token", {}).json["status"]["token"]
    head, claims, signature = token.split(".")
    forged = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(claims + "==").replace(b":default", b":robot")
    ).decode()
    client = Api(plane, token=f"{head}.{forged.rstrip('=')}.{signature}")
    assert client.get(PODS).status == 401
    client.close()


# ---------------------------------------------------------------------------------------------------------
# Nodes


def test_a_node_sees_itself_and_its_pods(api, as_node):
    register(api, "n1")
    register(api, "n2")
    api.create(PODS, pod("mine", spec={"nodeName": "n1"}))
    api.create(PODS, pod("other", spec={"nodeName": "n2"}))
    assert as_node.get("/api/v1/nodes/n1").status == 200
    assert as_node.get("/api/v1/nodes/n2").status == 403
    assert as_node.get("/api/v1/nodes").status == 403
    assert as_node.get("/api/v1/nodes?fieldSelector=metadata.name%3Dn1").status == 200
    assert as_node.get("/api/v1/pods").status == 403
    assert as_node.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").status == 200
    assert as_node.get(f"{PODS}/mine").status == 200
    assert as_node.get(f"{PODS}/other").status == 403
    assert as_node.strategic(f"{PODS}/mine/status", {"status": {"phase": "Running"}}).status == 200
    assert as_node.strategic(f"{PODS}/other/status", {"status": {"phase": "Running"}}).status == 403
    assert as_node.delete(f"{PODS}/mine", {"gracePeriodSeconds": 0}).status == 200
    assert as_node.get("/api/v1/namespaces/kube-system").status == 403
    assert as_node.get("/api/v1/services").status == 200


def test_a_node_reads_what_its_pods_name(api, as_node):
    for name in ("named", "other"):
        api.create(SECRETS, {"metadata": {"name": name}})
    variable = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "named", "key": "a"}}}
    container = {"name": "main", "image": "x", "env": [variable]}
    api.create(PODS, pod(spec={"nodeName": "n1", "containers": [container]}))
    assert as_node.get(f"{SECRETS}/named").status == 200
    assert as_node.get(f"{SECRETS}/other").status == 403
    assert as_node.get(SECRETS).status == 403
    assert as_node.get(f"{SECRETS}?fieldSelector=metadata.name%3Dnamed").status == 200
    assert as_node.get(f"{MAPS}/kube-root-ca.crt").status == 200


def test_a_node_registers_itself_only(api, as_node):
    assert as_node.create("/api/v1/nodes", node("n2")).status == 403
    assert as_node.create("/api/v1/nodes", node("n1")).status == 201
    assert as_node.delete("/api/v1/nodes/n1").status == 403
    taints = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
    assert "not allowed to modify taints" in as_node.strategic("/api/v1/nodes/n1", taints).json["message"]


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("kubernetes.io/hostname", True),
        ("node.kubernetes.io/anything", True),
        ("example.com/own", True),
        ("kubernetes.io/role", False),
        ("node-role.kubernetes.io/agent", False),
        ("node-restriction.kubernetes.io/x", False),
    ],
)
def test_labels_that_a_node_may_set(as_node, label, allowed):
    answer = as_node.create("/api/v1/nodes", {"metadata": {"name": "n1", "labels": {label: "x"}}})
    assert answer.status == (201 if allowed else 403)


def test_a_node_renews_its_own_lease(as_node):
    assert as_node.create(LEASES, {"metadata": {"name": "n1"}, "spec": {}}).status == 201
    assert as_node.create(LEASES, {"metadata": {"name": "n2"}, "spec": {}}).status == 403
    assert as_node.get(f"{LEASES}/n1").status == 200
    assert as_node.get(f"{LEASES}/n2").status == 403


def test_a_node_asks_for_tokens_of_its_pods(api, as_node):
    sources = [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]
    volumes = [{"name": "t", "projected": {"sources": sources}}]
    made = api.create(PODS, pod(spec={"nodeName": "n1", "volumes": volumes})).json
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": made["metadata"]["uid"]}
    path = f"{ACCOUNT}/token"
    assert as_node.create(path, {"spec": {"boundObjectRef": bound}}).status == 201
    assert as_node.create(path, {"spec": {"boundObjectRef": bound, "audiences": ["vault"]}}).status == 201
    refused = as_node.create(path, {"spec": {"boundObjectRef": bound, "audiences": ["other"]}})
    assert 'audience "other" not found in pod spec volume' in refused.json["message"]
    assert as_node.create(path, {}).status == 403


def test_a_node_may_ask_who_calls_it(as_node):
    assert review(as_node, "TokenReview", {"token": "x"}, "authentication.k8s.io")["error"]
    spec = {"user": "bob", "resourceAttributes": {"verb": "get", "resource": "nodes", "name": "n1"}}
    assert review(as_node, "SubjectAccessReview", spec)["allowed"] is False
