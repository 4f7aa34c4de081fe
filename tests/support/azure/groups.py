"""Container groups with a life of their own: what ACI does with them, by the fake's time."""

from __future__ import annotations

import re
import threading

from virtual_kubelet import codec

NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){0,61}[a-z0-9]|[a-z0-9]")
CONTAINER_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Group:
    """One container group. Times are seconds of the fake's clock."""

    def __init__(self, name, body, store):
        self.name = name
        self.body = codec.copy(body)
        self.store = store
        self.created = store.time.now()
        self.runs_at = self.created + store.start_seconds
        self.gone_at = None  # set by DELETE
        self.failure = None  # (code, message): provisioning will fail
        self.states = {}  # container -> state that a test has set
        self.restarts = {}
        self.previous = {}
        self.logs = {}
        self.events = []
        self.group_state = None  # set by a test
        self.provisioning = None  # set by a test
        self.updates = 0
        self.ip = f"10.240.{store.counter // 250}.{store.counter % 250 + 1}"
        self.operation = f"op-{store.counter}"

    @property
    def containers(self):
        return self.body["properties"]["containers"]

    @property
    def init_containers(self):
        return self.body["properties"].get("initContainers") or []

    def provisioning_state(self):
        now = self.store.time.now()
        if self.provisioning:
            return self.provisioning
        if self.gone_at is not None:
            return "Deleting"
        if now < self.runs_at:
            return "Pending" if now < self.created + self.store.start_seconds / 2 else "Creating"
        return "Failed" if self.failure else "Succeeded"

    def in_transition(self):
        return self.provisioning_state() in {"Pending", "Creating", "Updating", "Repairing"}

    def is_gone(self):
        return self.gone_at is not None and self.store.time.now() >= self.gone_at

    def container_state(self, name):
        if name in self.states:
            return self.states[name]
        started = self.provisioning_state() in {"Succeeded", "Deleting", "Updating"} and not self.failure
        if not started:
            return {"state": "Waiting", "detailStatus": ""}
        if any(item["name"] == name for item in self.init_containers):
            at = self.store.time.text(self.runs_at)
            return {
                "state": "Terminated",
                "exitCode": 0,
                "startTime": at,
                "finishTime": at,
                "detailStatus": "Completed",
            }
        return {"state": "Running", "startTime": self.store.time.text(self.runs_at), "detailStatus": ""}

    def state(self):
        if self.group_state:
            return self.group_state
        if self.provisioning_state() not in {"Succeeded", "Deleting", "Updating"}:
            return "Failed" if self.failure else "Pending"
        states = [self.container_state(item["name"]) for item in self.containers]
        if all(state["state"] == "Terminated" for state in states):
            codes = [state.get("exitCode", 0) for state in states]
            return "Failed" if any(codes) else "Succeeded"
        return "Running"

    def terminate(self, container, exit_code=0, detail=None):
        self.states[container] = self._ended(exit_code, detail)

    def _ended(self, exit_code, detail=None):
        return {
            "state": "Terminated",
            "exitCode": exit_code,
            "startTime": self.store.time.text(self.runs_at),
            "finishTime": self.store.time.text(),
            "detailStatus": ("Completed" if exit_code == 0 else "Error") if detail is None else detail,
        }

    def restart(self, container, exit_code=1):
        """Never shows it as ended: somebody may look in between, and take the pod for failed."""
        self.previous[container] = self._ended(exit_code)
        self.restarts[container] = self.restarts.get(container, 0) + 1
        self.states[container] = {"state": "Running", "startTime": self.store.time.text(), "detailStatus": ""}

    def write(self, container, *lines, at=None):
        log = self.logs.setdefault(container, [])
        for line in lines:
            moment = self.store.time.now() if at is None else at
            # Lines of one moment get times of their own, as a container runtime gives them.
            stamp = f"{self.store.time.text(moment)[:-1]}{len(log) % 1_000_000:06d}Z"
            log.append((stamp, line))

    def event(self, name, message, kind="Normal", count=1):
        at = self.store.time.text()
        self.events.append(
            {
                "count": count,
                "firstTimestamp": at,
                "lastTimestamp": at,
                "name": name,
                "message": message,
                "type": kind,
            }
        )

    # --- what goes over the wire

    def listed(self):
        """As a list shows it: without any instance view, and without secrets."""
        group = codec.copy(self.body)
        properties = group["properties"]
        group.update(
            id=f"{self.store.prefix}/{self.name}",
            name=self.name,
            type="Microsoft.ContainerInstance/containerGroups",
        )
        properties["provisioningState"] = self.provisioning_state()
        for item in [*properties["containers"], *(properties.get("initContainers") or ())]:
            for variable in item["properties"].get("environmentVariables") or ():
                variable.pop("secureValue", None)
        for volume in properties.get("volumes") or ():
            if "secret" in volume:
                volume["secret"] = {}
            if "azureFile" in volume:
                volume["azureFile"].pop("storageAccountKey", None)
        for credential in properties.get("imageRegistryCredentials") or ():
            credential.pop("password", None)
        if analytics := properties.get("diagnostics", {}).get("logAnalytics"):
            analytics.pop("workspaceKey", None)
        self._address(properties)
        properties.setdefault("sku", "Standard")
        return group

    def _address(self, properties):
        up = self.store.time.now() >= self.runs_at and not self.failure
        if properties.get("ipAddress") and up:
            properties["ipAddress"]["ip"] = self.ip
        elif properties.get("subnetIds") and up:
            properties["ipAddress"] = {"type": "Private", "ip": self.ip, "ports": []}

    def read(self):
        """As a GET shows it.

        The whole is looked at before its parts: time may go on meanwhile, and a group that runs has them all.
        """
        view = {"events": list(self.events), "state": self.state()}
        views = {item["name"]: self._container_view(item["name"]) for item in self._all_containers()}
        group = self.listed()
        properties = group["properties"]
        properties["instanceView"] = view
        for item in [*properties["containers"], *(properties.get("initContainers") or ())]:
            item["properties"]["instanceView"] = views[item["name"]]
        return group

    def _all_containers(self):
        return [*self.containers, *self.init_containers]

    def _container_view(self, name):
        view = {
            "restartCount": self.restarts.get(name, 0),
            "currentState": self.container_state(name),
            "events": [],
        }
        if name in self.previous:
            view["previousState"] = self.previous[name]
        return view


class Groups:
    """All groups of one resource group."""

    def __init__(self, time, prefix, *, start_seconds=4.0, delete_seconds=2.0):
        self.time = time
        self.prefix = prefix
        self.start_seconds = start_seconds
        self.delete_seconds = delete_seconds
        self.lock = threading.RLock()
        self.groups = {}
        self.counter = 0
        self.quota = None  # most groups
        self.created = []  # names of every group that was ever made
        self.deleted = []

    def _sweep(self):
        for name in [name for name, group in self.groups.items() if group.is_gone()]:
            self.deleted.append(name)
            del self.groups[name]

    def find(self, name):
        with self.lock:
            self._sweep()
            group = self.groups.get(name.lower())
            if group is None:
                raise Refused(
                    404,
                    "ResourceNotFound",
                    f"The Resource 'Microsoft.ContainerInstance/containerGroups/{name}' was not found.",
                )
            return group

    def all(self):
        with self.lock:
            self._sweep()
            return list(self.groups.values())

    def put(self, name, body, *, failure=None):
        with self.lock:
            self._sweep()
            validate(name, body)
            old = self.groups.get(name.lower())
            if old is not None and (old.in_transition() or old.gone_at is not None):
                raise Refused(
                    409,
                    "ContainerGroupTransitioning",
                    f"The container group '{name}' is still transitioning, please retry later.",
                )
            if old is None and self.quota is not None and len(self.groups) >= self.quota:
                raise Refused(
                    409,
                    "ContainerGroupQuotaReached",
                    "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota"
                    f" 'ContainerGroups' exceeded in region 'westeurope'. Limit: '{self.quota}'.",
                )
            self.counter += 1
            group = Group(name, body, self)
            group.failure = failure
            if old is None:
                self.created.append(name)
            else:
                group.updates = old.updates + 1
                group.ip = old.ip
                group.logs = old.logs
            self.groups[name.lower()] = group
            return group, old is None

    def delete(self, name):
        """Begin to delete; return the group, or None where there is none."""
        with self.lock:
            self._sweep()
            group = self.groups.get(name.lower())
            if group is None:
                return None
            if group.in_transition():
                raise Refused(
                    409,
                    "ContainerGroupTransitioning",
                    f"The container group '{name}' is still transitioning, please retry later.",
                )
            if group.gone_at is None:
                group.gone_at = self.time.now() + self.delete_seconds
            return group


def validate(name, body):
    """Refuse what ACI refuses."""
    if not NAME.fullmatch(name):
        raise Refused(400, "InvalidResourceName", f"The name '{name}' is not valid.")
    for key in ("location", "properties"):
        if not body.get(key):
            raise Refused(400, "InvalidRequestContent", f"The request content is missing {key}.")
    properties = body["properties"]
    if properties.get("osType") not in {"Linux", "Windows"}:
        raise Refused(400, "InvalidOsType", "The osType is invalid.")
    if properties.get("restartPolicy", "Always") not in {"Always", "OnFailure", "Never"}:
        raise Refused(400, "InvalidRestartPolicy", "The restart policy is invalid.")
    if len(body.get("tags") or {}) > 50 or any(
        len(str(value)) > 256 for value in (body.get("tags") or {}).values()
    ):
        raise Refused(400, "InvalidTags", "Too many or too long tags.")
    _validate_containers(properties)
    _validate_volumes(properties)
    if properties.get("sku") != "Confidential" and any(
        item["properties"].get("securityContext") for item in properties["containers"]
    ):
        raise Refused(400, "SecurityContextNotSupported", "A security context needs the Confidential sku.")


def _validate_containers(properties):
    containers = properties.get("containers") or []
    if not containers:
        raise Refused(400, "InvalidRequestContent", "There are no containers.")
    for item in [*containers, *(properties.get("initContainers") or ())]:
        if not CONTAINER_NAME.fullmatch(item.get("name", "")):
            raise Refused(400, "InvalidContainerName", f"The container name '{item.get('name')}' is invalid.")
        if not item["properties"].get("image"):
            raise Refused(400, "InvalidImage", f"The image of '{item['name']}' is missing.")
        for variable in item["properties"].get("environmentVariables") or ():
            if not variable.get("value") and not variable.get("secureValue"):
                raise Refused(
                    400, "InvalidEnvironmentVariable", f"The variable '{variable['name']}' is empty."
                )
    requests = [item["properties"].get("resources", {}).get("requests") or {} for item in containers]
    for need in ("cpu", "memoryInGB"):
        if any(not request.get(need) for request in requests):
            raise Refused(400, "ResourceRequestsNotSpecified", f"The {need} of a container is missing.")
        total = sum(request[need] for request in requests)
        for item in containers:
            limit = (item["properties"]["resources"].get("limits") or {}).get(need)
            if limit is not None and limit > total + 1e-9:
                raise Refused(
                    400,
                    "ContainerLimitGreaterThanContainerGroupTotalRequest",
                    f"The {need} limit of '{item['name']}' is greater than the total request {total}.",
                )
    for item in properties.get("initContainers") or ():
        extra = set(item["properties"]) - {
            "image",
            "command",
            "environmentVariables",
            "volumeMounts",
            "securityContext",
        }
        if extra:
            raise Refused(400, "InvalidInitContainer", f"An init container cannot have {sorted(extra)}.")


def _validate_volumes(properties):
    names = set()
    for volume in properties.get("volumes") or ():
        names.add(volume["name"])
        kinds = [kind for kind in ("azureFile", "emptyDir", "secret", "gitRepo") if kind in volume]
        if len(kinds) != 1:
            raise Refused(400, "InvalidVolume", f"The volume '{volume['name']}' must have one kind.")
        if volume.get("emptyDir"):
            raise Refused(400, "InvalidVolume", "An emptyDir has no properties.")
        if "secret" in volume and not volume["secret"]:
            raise Refused(400, "InvalidVolume", f"The secret volume '{volume['name']}' is empty.")
    for item in [*properties["containers"], *(properties.get("initContainers") or ())]:
        for mount in item["properties"].get("volumeMounts") or ():
            if mount["name"] not in names:
                raise Refused(400, "VolumeMountNotFound", f"There is no volume '{mount['name']}'.")
