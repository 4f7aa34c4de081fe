"""PATCH: the four kinds of patches, each a transform for `modify`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.modify import Transform
from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import patches

__all__ = ["APPLY", "JSON_PATCH", "MERGE", "STRATEGIC", "patch_transform"]

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def patch_transform(
    kind: Kind,
    media_type: str,
    patch: Any,
    decode: Callable[[JsonObject], JsonObject],
    *,
    restored: tuple[str, ...] = (),
) -> Transform:
    """Return the transform of a patch; `decode` checks the types of the result, but for what is `restored` later.

    Raises, when it is applied:
        ApiError: 400 for a malformed patch, 422 for one that does not fit, 413 for one that costs too much.
    """

    def transform(old: Record) -> JsonObject:
        # Copies of both: what comes out is changed further, and a lost race applies the patch again.
        stored = old.copy() if kind.outward is None else kind.outward(old.copy())
        current = {"apiVersion": kind.api_version, "kind": kind.kind, **stored}
        try:
            patched = _apply(kind, media_type, current, codec.copy(patch))
        except patches.PatchTooLarge as error:
            raise ApiError(str(error), status=413, reason="RequestEntityTooLarge") from error
        except patches.PatchError as error:
            raise _refused(media_type, error) from error
        if not isinstance(patched, dict):
            raise failures.bad_request("the patch does not leave an object")
        for field in restored:
            patched.pop(field, None)
        return decode(patched)

    return transform


def _apply(kind: Kind, media_type: str, current: JsonObject, patch: Any) -> Any:
    if media_type == JSON_PATCH:
        return patches.json_patch(current, patch)
    if not isinstance(patch, dict):
        raise failures.bad_request("a patch of this type is an object")
    if media_type == MERGE:
        return patches.merge_patch(current, patch)
    schema = patches.schema_of(kind.group, kind.kind) or patches.Schema()
    return patches.strategic_merge(current, patch, schema)


def _refused(media_type: str, error: patches.PatchError) -> ApiError:
    if media_type == JSON_PATCH:
        # What cannot be applied to this object is its state's fault, not the request's form.
        return ApiError(
            f"the server rejected our request due to an error in our request: {error}",
            status=422,
            reason="Invalid",
        )
    return failures.bad_request(str(error))
