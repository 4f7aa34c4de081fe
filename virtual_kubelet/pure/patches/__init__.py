"""Patches of Kubernetes objects, applied and made: pure functions that change none of their arguments.

    json_patch         RFC 6902            application/json-patch+json
    merge_patch        RFC 7386            application/merge-patch+json
    strategic_merge    by kind's schema    application/strategic-merge-patch+json
    server_side_apply  by kind's schema    application/apply-patch+yaml

`merge_diff`, `strategic_diff` and `three_way_patch` make patches; `schema_of` gives the merge rules of a kind;
`after_update` keeps `managedFields` true through writes that are not applies. What cannot be applied raises
`PatchError`, a ValueError.
"""

from __future__ import annotations

from virtual_kubelet.pure.patches.error import PatchError, PatchTooLarge
from virtual_kubelet.pure.patches.json_patch import json_patch
from virtual_kubelet.pure.patches.kinds import schema_of
from virtual_kubelet.pure.patches.managed_fields import after_update
from virtual_kubelet.pure.patches.merge_patch import merge_diff, merge_patch
from virtual_kubelet.pure.patches.schema import Schema
from virtual_kubelet.pure.patches.server_side_apply import ApplyConflict, server_side_apply
from virtual_kubelet.pure.patches.strategic import strategic_merge
from virtual_kubelet.pure.patches.strategic_diff import strategic_diff
from virtual_kubelet.pure.patches.three_way import three_way_merge, three_way_patch

__all__ = [
    "ApplyConflict",
    "PatchError",
    "PatchTooLarge",
    "Schema",
    "after_update",
    "json_patch",
    "merge_diff",
    "merge_patch",
    "schema_of",
    "server_side_apply",
    "strategic_diff",
    "strategic_merge",
    "three_way_merge",
    "three_way_patch",
]
