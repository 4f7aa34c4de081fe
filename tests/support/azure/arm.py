"""A fake Azure Resource Manager with Container Instances, over real HTTP.

It knows the token endpoint, container groups with their own life and time (groups.py), paged lists, logs, exec
and attach (sessions.py), operations, usages, metrics and subnets, and faults to order (faults.py); server.py has
the HTTP. What it accepts and answers is checked against the vendor's SDK in tests/providers/azure/test_sdk.py.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from urllib.parse import quote

from support.azure.clock import FakeTime
from support.azure.faults import Faults
from support.azure.groups import Groups, Refused
from support.azure.server import Server
from support.azure.sessions import Session

from virtual_kubelet.runtime.threads import spawn

SUBSCRIPTION, RESOURCE_GROUP, REGION = "sub-1", "vk-group", "westeurope"
TENANT, CLIENT, SECRET = "tenant-1", "client-1", "s3cr3t~value"
VERSIONS = {"2022-09-01", "2022-10-01-preview", "2023-05-01"}
GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.ContainerInstance/containerGroups"
LOCATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/locations/{REGION}"


class FakeArm:
    """`with FakeArm() as arm:`; `arm.url` is both ARM's and Entra's endpoint."""

    def __init__(self, *, speed=0.0, page_size=100, tls=None, **life):
        """`tls`: an `ssl.SSLContext` for localhost."""
        self._tls = tls
        self.time = FakeTime(speed=speed)
        self.groups = Groups(self.time, GROUPS, **life)
        self.faults = Faults()
        self.page_size = page_size
        self.token_seconds = 3600
        self.tokens = {}  # value -> end
        self.token_requests = 0
        self.requests = []  # (method, path, status)
        self.bodies = []  # of every PUT of a container group
        self.sessions = {}
        self.usages = [("ContainerGroups", 100, 3), ("StandardCores", 10, 4)]
        self.metrics = {}  # (group, container) -> (millicores, bytes)
        self.subnets = {}
        self.subnet_state = "Succeeded"
        self.reads_left = 11999
        self.list_shows_views = False
        self.names_operations = True  # in the header of a PUT's answer
        self.manners = lambda group: group  # how a group is written
        self.shows_what_it_took = True  # in answers to PUT and DELETE; else 202 and nothing
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = None

    # --- life

    def __enter__(self):
        self._server = Server(self)
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = spawn(self._server.serve_forever, 0.05, name="fake-arm")
        return self

    def __exit__(self, *_):
        self.closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://{self._host}"

    @property
    def _host(self):
        return f"{'localhost' if self._tls else '127.0.0.1'}:{self._server.server_port}"

    def auth_file(self, path):
        path.write_text(
            json.dumps(
                {
                    "clientId": CLIENT,
                    "clientSecret": SECRET,
                    "subscriptionId": SUBSCRIPTION,
                    "tenantId": TENANT,
                    "activeDirectoryEndpointUrl": self.url,
                    "resourceManagerEndpointUrl": f"{self.url}/",
                }
            )
        )
        return path

    def environ(self, path):
        return {
            "AZURE_AUTH_LOCATION": str(self.auth_file(path)),
            "ACI_RESOURCE_GROUP": RESOURCE_GROUP,
            "ACI_REGION": REGION,
        }

    # --- what tests ask

    def of_pod(self, name, namespace="default"):
        """The one group of a pod."""
        found = [
            group
            for group in self.groups.all()
            if (group.body["tags"].get("Namespace"), group.body["tags"].get("PodName")) == (namespace, name)
        ]
        assert len(found) == 1, f"{len(found)} groups of {namespace}/{name}"
        return found[0]

    def count(self, method, pattern=""):
        with self._lock:
            return sum(1 for item in self.requests if item[0] == method and re.search(pattern, item[1]))

    def note(self, method, path, status):
        with self._lock:
            self.requests.append((method, path, status))

    def settle(self):
        """Let everything that takes time be over."""
        self.time.advance(1000)

    # --- requests; each returns (status, headers, body)

    def token(self, path, form):
        if path != f"/{TENANT}/oauth2/token":
            return (
                404,
                {},
                {"error": "invalid_request", "error_description": "AADSTS90002: Tenant not found."},
            )
        self.token_requests += 1
        wanted = {"grant_type": "client_credentials", "client_id": CLIENT, "resource": f"{self.url}/"}
        if any(form.get(key) != value for key, value in wanted.items()):
            return 400, {}, {"error": "invalid_request", "error_description": f"AADSTS900144: {sorted(form)}"}
        if form.get("client_secret") != SECRET:
            text = "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1\r\nTimestamp: 2"
            return 401, {}, {"error": "invalid_client", "error_description": text}
        value = secrets.token_urlsafe(16)
        self.tokens[value] = self.time.now() + self.token_seconds
        return 200, {}, {"token_type": "Bearer", "expires_in": str(self.token_seconds), "access_token": value}

    def authorized(self, header):
        kind, _, value = (header or "").partition(" ")
        return kind == "Bearer" and self.tokens.get(value, 0) > self.time.now()

    def handle(self, method, path, query, body):
        version = query.get("api-version", [""])[0]
        if match := re.fullmatch(
            re.escape(GROUPS) + r"(?:/(?P<name>[^/]+)(?P<rest>/.*)?)?", path, re.IGNORECASE
        ):
            if "microsoft.insights" in (match["rest"] or "").lower():
                return self._metrics(match["name"], query)
            self._check_version(version)
            return self._group(method, match["name"], match["rest"] or "", query, body)
        if path.startswith(LOCATION):
            self._check_version(version)
            return self._location(path.removeprefix(LOCATION))
        if "/Microsoft.Network/" in path:
            return self._subnet(method, path, body)
        raise Refused(404, "InvalidResourceType", f"The resource type of '{path}' could not be found.")

    @staticmethod
    def _check_version(version):
        if version not in VERSIONS:
            raise Refused(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")

    def _group(self, method, name, rest, query, body):
        if name is None:
            return self._list(query)
        if rest:
            return self._container(method, name, rest, query, body)
        if method == "GET":
            group = self.groups.find(name).read()
            if self.faults.pick({"no-instance-view"}, method, name):
                group = self.groups.find(name).listed()
            return 200, {}, self.manners(group)
        if method == "PUT":
            return self._put(name, body)
        if method == "PATCH":
            group = self.groups.find(name)
            group.body["tags"] = body["tags"]
            return 200, {}, self.manners(group.listed())
        if method == "DELETE":
            return self._delete(name)
        raise Refused(405, "MethodNotAllowed", method)

    def _put(self, name, body):
        with self._lock:
            self.bodies.append(body)
        failing = self.faults.pick({"provisioning-fails"}, "PUT", name)
        group, new = self.groups.put(name, body, failure=failing and (failing.code, failing.message))
        operation = f"{self.url}{LOCATION}/operations/{group.operation}?api-version=2023-05-01"
        headers = {"Azure-AsyncOperation": operation} if self.names_operations else {}
        if not self.shows_what_it_took:
            return 202, {"Location": operation}, None
        return 201 if new else 200, headers, self.manners(group.listed())

    def _delete(self, name):
        if self.faults.pick({"delete-ignored"}, "DELETE", name):
            self.groups.find(name)
            return 202, {"Location": f"{self.url}{LOCATION}/operations/ignored?api-version=2023-05-01"}, None
        group = self.groups.delete(name)
        if group is None:
            return 204, {}, None
        return (200, {}, self.manners(group.listed())) if self.shows_what_it_took else (202, {}, None)

    def _list(self, query):
        groups = sorted(self.groups.all(), key=lambda group: group.name)
        if groups and self.faults.pick({"stale-list"}, "GET", GROUPS):
            newest = max(groups, key=lambda group: group.created)
            groups.remove(newest)
        start = int(query.get("$skiptoken", ["0"])[0])
        page = groups[start : start + self.page_size]
        bodies = [group.read() if self.list_shows_views else group.listed() for group in page]
        answer = {"value": [self.manners(body) for body in bodies]}
        if start + self.page_size < len(groups):
            token = quote(str(start + self.page_size))
            answer["nextLink"] = f"{self.url}{GROUPS}?api-version=2023-05-01&%24skiptoken={token}"
        return 200, {}, answer

    def _stop(self, name):
        group = self.groups.find(name)
        group.group_state = "Stopped"
        for item in group.containers:
            group.terminate(item["name"], exit_code=137, detail="Stopped")
        return 204, {}, None

    def _container(self, method, name, rest, query, body):
        if method == "POST" and rest == "/stop":
            return self._stop(name)
        match = re.fullmatch(r"/containers/([^/]+)/(logs|exec|attach)", rest)
        group = self.groups.find(name)
        known = [item["name"] for item in [*group.containers, *group.init_containers]]
        if not match or match[1] not in known:
            raise Refused(404, "ContainerNotFound", f"The container '{rest}' was not found.")
        container, verb = match.groups()
        if verb == "logs" and method == "GET":
            return 200, {}, {"content": self._log(group, container, query)}
        if method != "POST":
            raise Refused(405, "MethodNotAllowed", method)
        session = Session(verb, group, container, **({} if verb == "attach" else self._exec_request(body)))
        self.sessions[secrets.token_hex(8)] = session
        scheme = "wss" if self._tls else "ws"
        address = f"{scheme}://{self._host}/{verb}/{next(reversed(self.sessions))}?rows=1&api=1"
        return 200, {}, {"webSocketUri": address, "password": session.password}

    @staticmethod
    def _exec_request(body):
        size = body["terminalSize"]
        return {"command": body["command"], "size": (size["rows"], size["cols"])}

    @staticmethod
    def _log(group, container, query):
        lines = group.logs.get(container, [])
        if tail := query.get("tail"):
            lines = lines[-int(tail[0]) :]
        stamped = query.get("timestamps", [""])[0].lower() == "true"
        return "".join(f"{stamp} {line}\n" if stamped else f"{line}\n" for stamp, line in lines)

    def _location(self, rest):
        if rest == "/usages":
            value = [
                {
                    "unit": "Count",
                    "currentValue": used,
                    "limit": limit,
                    "name": {"value": name, "localizedValue": name},
                }
                for name, limit, used in self.usages
            ]
            return 200, {}, {"value": value}
        if match := re.fullmatch(r"/operations/(.+)", rest):
            return 200, {}, self._operation(match[1])
        raise Refused(404, "NotFound", rest)

    def _operation(self, name):
        for group in self.groups.all():
            if group.operation == name:
                state = group.provisioning_state()
                if state == "Failed":
                    code, message = group.failure
                    return {"id": name, "status": "Failed", "error": {"code": code, "message": message}}
                return {"id": name, "status": state if state == "Succeeded" else "InProgress"}
        return {"id": name, "status": "Succeeded"}

    def _metrics(self, name, query):
        self.groups.find(name)
        assert query["api-version"] == ["2018-01-01"], query
        at = self.time.text()
        value = []
        for index, metric in enumerate(("CpuUsage", "MemoryUsage")):
            series = [
                {
                    "metadatavalues": [{"name": {"value": "containername"}, "value": container}],
                    "data": [{"timeStamp": at, "average": numbers[index]}],
                }
                for (group, container), numbers in self.metrics.items()
                if group == name
            ]
            value.append({"name": {"value": metric}, "timeseries": series})
        return 200, {}, {"value": value}

    def _subnet(self, method, path, body):
        if method == "PUT":
            self.subnets[path] = body
        if path not in self.subnets:
            raise Refused(404, "NotFound", path)
        subnet = self.subnets[path]
        return (
            200,
            {},
            {
                **subnet,
                "properties": {**subnet["properties"], "provisioningState": self.subnet_state},
            },
        )
