"""Containers through the Docker Engine API: a client, and a driver of the pod runtime on it.

endpoint, adapter, tls_pipe           a unix socket, TCP, TLS
client, hijack                        the API over these; signed where a hook does that
failures, dialect                     what Docker, Podman and Hyper say differently
references, registries, images        images and who may pull them
body_*, resources, security, dns      a pod's containers as the API's JSON (pure)
states, watcher, inventory            what there is, and what changes
sessions, logs, usage, dialing        looking into containers
shared_pod, driver, provider          the driver, and the provider made from it
"""

from __future__ import annotations
