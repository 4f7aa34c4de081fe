"""The process that holds the containers' processes, so that they outlive the agent.

A child of an agent that dies loses its pipes and its exit code. So containers are children of this small
process instead, one a node: it starts them, writes down what they print, waits for them, and remembers how
they ended until somebody asks.

It outlives agents and their upgrades, therefore: it imports the standard library only, everything at the start;
it never reads the agent's environment or files; and it speaks a versioned protocol (`protocol`). One thread, one
selector loop (`server`): because of that it may fork safely (`spawn`).

Run by `supervisor_client` on demand, or as a service of its own:

    python -m virtual_kubelet.providers.process.supervisor --dir DIRECTORY --foreground
"""

from __future__ import annotations
