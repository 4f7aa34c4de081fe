"""Pods as container groups of Azure Container Instances.

    config, settings, credentials, clouds   what the user wrote
    auth, transport, client, sessions       the only I/O: Azure Resource Manager (ARM) and ACI's WebSockets
    translate and its helpers, volumes      a pod becomes a container group; pure
    status, group_events                    a container group becomes a pod's status; pure
    inventory, refresh, creation, removal   which groups are ours, read within ARM's limits, under failure
    provider                                the contract with the agent

Wire shapes are those of the ACI REST API 2023-05-01 (Microsoft.ContainerInstance/containerGroups).
"""

from __future__ import annotations
