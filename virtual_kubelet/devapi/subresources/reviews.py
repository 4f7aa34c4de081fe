"""Reviews: questions about identities and rights. They are answered, not stored."""

from __future__ import annotations

from virtual_kubelet.devapi.access import rbac
from virtual_kubelet.devapi.access.attributes import Attributes
from virtual_kubelet.devapi.access.authorizer import Authorizer
from virtual_kubelet.devapi.access.service_tokens import AUDIENCE, TokenIssuer
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.http.replies import json_reply
from virtual_kubelet.devapi.identity import AUTHENTICATED, Tokens, User
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Response

__all__ = ["Reviews"]

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


class Reviews:
    """Answers the review kinds of authentication.k8s.io and authorization.k8s.io."""

    def __init__(
        self, storage: MemoryStorage, tokens: Tokens, issuer: TokenIssuer, authorizer: Authorizer
    ) -> None:
        self._storage = storage
        self._tokens = tokens
        self._issuer = issuer
        self._authorizer = authorizer

    def handlers(self) -> dict[str, CallHandler]:
        """Return what serves which resource."""
        return {
            "tokenreviews.authentication.k8s.io": self.token,
            "selfsubjectreviews.authentication.k8s.io": self.self_subject,
            "subjectaccessreviews.authorization.k8s.io": self.subject_access,
            "localsubjectaccessreviews.authorization.k8s.io": self.subject_access,
            "selfsubjectaccessreviews.authorization.k8s.io": self.self_access,
            "selfsubjectrulesreviews.authorization.k8s.io": self.self_rules,
        }

    def token(self, call: Call) -> Response:
        """TokenReview: whose is this token?"""
        body = call.body(AUTHENTICATION, "TokenReview")
        spec = body.get("spec") or {}
        token, audiences = spec.get("token", ""), spec.get("audiences") or []
        claims = self._issuer.verify(token)
        user: User | None
        if claims is not None:
            user = claims.user
            common = [each for each in (audiences or [AUDIENCE]) if each in claims.audiences]
        else:
            user = self._tokens.user(token)
            common = [each for each in (audiences or [AUDIENCE]) if each == AUDIENCE]
        if user is None or not common:
            status: JsonObject = {"error": "invalid bearer token"}
        else:
            status = {"authenticated": True, "user": _user_info(user), "audiences": common}
        # The token itself is not repeated: answers end in logs.
        return _answer(AUTHENTICATION, "TokenReview", {"spec": {"audiences": audiences}, "status": status})

    def self_subject(self, call: Call) -> Response:
        """SelfSubjectReview: who am I?"""
        call.body(AUTHENTICATION, "SelfSubjectReview")
        return _answer(AUTHENTICATION, "SelfSubjectReview", {"status": {"userInfo": _user_info(call.user)}})

    def subject_access(self, call: Call) -> Response:
        """SubjectAccessReview, also in a namespace: may that user do this?"""
        body = call.body(AUTHORIZATION, call.kind.kind)
        spec = body.get("spec") or {}
        user = User(
            spec.get("user", ""),
            tuple(spec.get("groups") or ()),
            spec.get("uid", ""),
            spec.get("extra") or {},
        )
        asked = Attributes.of_review(user, spec, call.info.namespace)
        return _answer(AUTHORIZATION, call.kind.kind, {"spec": spec, "status": self._status(asked)})

    def self_access(self, call: Call) -> Response:
        """SelfSubjectAccessReview: may I do this?"""
        body = call.body(AUTHORIZATION, "SelfSubjectAccessReview")
        spec = body.get("spec") or {}
        asked = Attributes.of_review(call.user, spec)
        return _answer(
            AUTHORIZATION, "SelfSubjectAccessReview", {"spec": spec, "status": self._status(asked)}
        )

    def self_rules(self, call: Call) -> Response:
        """SelfSubjectRulesReview: what may I do in this namespace?"""
        body = call.body(AUTHORIZATION, "SelfSubjectRulesReview")
        spec = body.get("spec") or {}
        rules = list(rbac.rules_for(self._storage, call.user, spec.get("namespace", "")))
        status = {
            "resourceRules": [rule for rule in rules if rule.get("resources")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }
        return _answer(AUTHORIZATION, "SelfSubjectRulesReview", {"spec": spec, "status": status})

    def _status(self, asked: Attributes) -> JsonObject:
        if self._authorizer.allows(asked):
            return {"allowed": True}
        return {"allowed": False, "reason": asked.refusal()}


def _user_info(user: User) -> JsonObject:
    info: JsonObject = {"username": user.name, "groups": list(user.groups or (AUTHENTICATED,))}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _answer(group: str, kind: str, body: JsonObject) -> Response:
    return json_reply(
        {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {"creationTimestamp": None}, **body}, 201
    )
