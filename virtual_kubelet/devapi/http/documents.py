"""What is served beside objects: versions, discovery, OpenAPI, token keys."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.access.service_tokens import AUDIENCE, TokenIssuer
from virtual_kubelet.devapi.discovery import documents
from virtual_kubelet.devapi.discovery.openapi import OpenApi
from virtual_kubelet.devapi.discovery.openapi_v2 import OpenApiV2
from virtual_kubelet.devapi.http.replies import json_reply
from virtual_kubelet.devapi.http.version import version
from virtual_kubelet.devapi.registry.kinds import Kinds
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Request, Response

__all__ = ["Documents"]

PROTOBUF_V2 = frozenset(
    {
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    }
)
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


class Documents:
    """Answers GETs of what the server says about itself."""

    def __init__(self, kinds: Kinds, issuer: TokenIssuer) -> None:
        self._kinds = kinds
        self._issuer = issuer
        self._openapi = OpenApi(kinds)
        self._openapi_v2 = OpenApiV2(kinds)

    def __call__(self, request: Request) -> Response:
        """Answer, or raise `ApiError` 404."""
        if request.method not in {"GET", "HEAD"}:
            raise failures.method_not_allowed()
        path = request.path.rstrip("/")
        if path in {"/api", "/apis"}:
            accepted = documents.aggregated_version(request.headers.get("Accept"))
            if accepted:
                content = documents.aggregated(self._kinds, accepted, core=path == "/api")
                reply = json_reply(content)
                reply.content_type = AGGREGATED.format(version=accepted)
                return reply
        if path == "/openapi/v2":
            return self._v2(request.headers.get("Accept"))
        found = self._find(path)
        if found is None:
            raise failures.unknown_path()
        return json_reply(found)

    def _v2(self, accept: str) -> Response:
        for wanted in accept.split(","):
            media = wanted.partition(";")[0].strip()
            if media in PROTOBUF_V2:
                # The name with "@", which older clients ask for, is none that they can read.
                return Response(200, self._openapi_v2.protobuf, media.replace("@", "."))
        return json_reply(self._openapi_v2.document)

    def _find(self, path: str) -> JsonObject | None:
        if path == "/version":
            return dict(version())
        if path == "/openid/v1/jwks":
            return self._issuer.key_set()
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": AUDIENCE,
                "jwks_uri": f"{AUDIENCE}/openid/v1/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }
        if path == "/openapi/v3" or path.startswith("/openapi/v3/"):
            return self._openapi.document(path.removeprefix("/openapi/v3").strip("/"))
        return documents.legacy(self._kinds, path)
