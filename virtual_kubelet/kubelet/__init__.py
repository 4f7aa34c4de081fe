"""What the API server, metrics readers and operators ask a node for: the kubelet's HTTPS API.

service    the whole of it as one service: what the agent starts
api        the router: which path is served by what, and what right it takes
logs, exec, attach, portforward, pods, stats, metrics, health, debug    one group of routes each
auth       who calls, and whether he may
"""

from __future__ import annotations
