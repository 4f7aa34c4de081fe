"""The types of the API's objects: fields, their types, and their numbers in protobuf.

One table serves four ends: bodies are checked and brought into the form that the real server would store
(`conform`), protobuf bodies are decoded (`http.protobuf`), unknown fields are found, and OpenAPI documents are
made for `kubectl explain` (`discovery.openapi`).

The tables are text, one message after the other:

    Container
        1 name string!, 2 image string, 3 command [string], 21 volumeDevices [VolumeDevice]

A type is a scalar (`string bool int32 int64 bytes Time MicroTime Quantity IntOrString any strings`), another
message, `[T]` (list) or `{T}` (map with string keys). What follows it says how its zero value is written, as Go's
API types do: nothing: left out; `!`: always written; `?`: kept as it came. A field whose name is `*` is a
message of its own in protobuf whose fields stand among the others in JSON.
"""

from __future__ import annotations
