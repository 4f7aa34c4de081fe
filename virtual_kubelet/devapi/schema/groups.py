"""The kinds of the other API groups."""

from __future__ import annotations

__all__ = ["GROUPS"]

GROUPS = {
    "authentication.v1": """
TokenRequest
    1 metadata ObjectMeta, 2 spec TokenRequestSpec!, 3 status TokenRequestStatus!
TokenRequestSpec
    1 audiences [string], 4 expirationSeconds int64?, 3 boundObjectRef BoundObjectReference
BoundObjectReference
    1 kind string, 2 apiVersion string, 3 name string, 4 uid string
TokenRequestStatus
    1 token string!, 2 expirationTimestamp Time!
TokenReview
    1 metadata ObjectMeta, 2 spec TokenReviewSpec!, 3 status TokenReviewStatus!
TokenReviewSpec
    1 token string, 2 audiences [string]
TokenReviewStatus
    1 authenticated bool, 2 user UserInfo!, 3 error string, 4 audiences [string]
UserInfo
    1 username string, 2 uid string, 3 groups [string], 4 extra {strings}
SelfSubjectReview
    1 metadata ObjectMeta, 2 status SelfSubjectReviewStatus!
SelfSubjectReviewStatus
    1 userInfo UserInfo!
""",
    "authorization.v1": """
SubjectAccessReview
    1 metadata ObjectMeta, 2 spec SubjectAccessReviewSpec!, 3 status SubjectAccessReviewStatus!
LocalSubjectAccessReview
    1 metadata ObjectMeta, 2 spec SubjectAccessReviewSpec!, 3 status SubjectAccessReviewStatus!
SubjectAccessReviewSpec
    1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes, 3 user string,
    4 groups [string], 5 extra {strings}, 6 uid string
SubjectAccessReviewStatus
    1 allowed bool!, 2 reason string, 3 evaluationError string, 4 denied bool
SelfSubjectAccessReview
    1 metadata ObjectMeta, 2 spec SelfSubjectAccessReviewSpec!, 3 status SubjectAccessReviewStatus!
SelfSubjectAccessReviewSpec
    1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes
ResourceAttributes
    1 namespace string, 2 verb string, 3 group string, 4 version string, 5 resource string, 6 subresource string,
    7 name string, 8 fieldSelector FieldSelectorAttributes, 9 labelSelector FieldSelectorAttributes
NonResourceAttributes
    1 path string, 2 verb string
SelfSubjectRulesReview
    1 metadata ObjectMeta, 2 spec SelfSubjectRulesReviewSpec!, 3 status any
SelfSubjectRulesReviewSpec
    1 namespace string
""",
    "certificates.v1": """
CertificateSigningRequest
    1 metadata ObjectMeta, 2 spec CertificateSigningRequestSpec!, 3 status CertificateSigningRequestStatus!
CertificateSigningRequestSpec
    1 request bytes!, 7 signerName string!, 8 expirationSeconds int32?, 5 usages [string], 2 username string, 3 uid string,
    4 groups [string], 6 extra {strings}
CertificateSigningRequestStatus
    1 conditions [CertificateSigningRequestCondition], 2 certificate bytes
CertificateSigningRequestCondition
    1 type string!, 6 status string!, 2 reason string, 3 message string, 4 lastUpdateTime Time!, 5 lastTransitionTime Time!
""",
    "coordination.v1": """
Lease
    1 metadata ObjectMeta, 2 spec LeaseSpec!
LeaseSpec
    1 holderIdentity string?, 2 leaseDurationSeconds int32?, 3 acquireTime MicroTime?, 4 renewTime MicroTime?,
    5 leaseTransitions int32?, 6 strategy string?, 7 preferredHolder string?
""",
    "policy.v1": """
Eviction
    1 metadata ObjectMeta, 2 deleteOptions DeleteOptions
""",
    "rbac.v1": """
Role
    1 metadata ObjectMeta!, 2 rules [PolicyRule]
ClusterRole
    1 metadata ObjectMeta!, 2 rules [PolicyRule], 3 aggregationRule any
PolicyRule
    1 verbs [string], 2 apiGroups [string], 3 resources [string], 4 resourceNames [string], 5 nonResourceURLs [string]
RoleBinding
    1 metadata ObjectMeta!, 2 subjects [Subject], 3 roleRef RoleRef!
ClusterRoleBinding
    1 metadata ObjectMeta!, 2 subjects [Subject], 3 roleRef RoleRef!
Subject
    1 kind string!, 2 apiGroup string, 3 name string!, 4 namespace string
RoleRef
    1 apiGroup string!, 2 kind string!, 3 name string!
""",
}
