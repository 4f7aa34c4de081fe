"""A container's own streams: made for its process, written to its log, passed to whoever is attached.

Output comes through named pipes that the container's process holds open for reading too: should this
supervisor be killed, the process waits for its successor to read on instead of dying of SIGPIPE. (A terminal has
no such luck.)
"""

from __future__ import annotations

import contextlib
import os
import pty
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from virtual_kubelet.providers.process.supervisor.logfile import LogWriter
from virtual_kubelet.providers.process.supervisor.outputs import Attachment, Follower, Loop

__all__ = ["ChildEnds", "ContainerStreams"]

CHUNK = 65536
PIPE_SIZE = 1 << 20  # what a pipe holds at most, unless root made it larger
OUTPUTS = ("stdout", "stderr")
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass
class ChildEnds:
    """The descriptors for a process; `close` them as soon as it has been forked."""

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1
    opened: list[int] = field(default_factory=list)

    def add(self, fd: int) -> int:
        """Note one that is to be closed."""
        self.opened.append(fd)
        return fd

    def close(self) -> None:
        """Close them: the process must be the only one that has them."""
        for fd in self.opened:
            os.close(fd)
        self.opened.clear()


class ContainerStreams:
    """The streams of one container; `on_end()` is called when all output is over."""

    def __init__(self, loop: Loop, base: Path, on_end: Callable[[], None]) -> None:
        self._loop = loop
        self._base = base  # path of the named pipes, without `.stdout` and `.stderr`
        self._on_end = on_end
        self._log: LogWriter | None = None
        self._outputs: dict[str, int] = {}
        self._stdin = -1
        self._terminal = -1
        self._attachments: list[Attachment] = []
        self._followers: list[Follower] = []
        self._paused = False

    # -- making ---------------------------------------------------------------------------------------

    def log_to(self, log: LogWriter) -> None:
        """Write all output there."""
        self._log = log

    def make(self, ends: ChildEnds, *, terminal: bool, stdin: bool, owner: int | None) -> None:
        """Make the streams and fill `ends`; raise `OSError`.

        The process may open /dev/stdout by name: with an `owner` other than us, the pipes are its own.
        """
        if terminal:
            self._terminal, slave = pty.openpty()
            os.set_inheritable(self._terminal, False)
            os.set_blocking(self._terminal, False)  # its copies, too: to read it, and to write to it
            ends.stdin = ends.stdout = ends.stderr = ends.add(slave)
            self._outputs = {"stdout": os.dup(self._terminal)}
            return
        ends.stdout = ends.add(self._make_output("stdout", owner))
        ends.stderr = ends.add(self._make_output("stderr", owner))
        if stdin:
            reader, self._stdin = os.pipe2(os.O_CLOEXEC)
        else:
            reader = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        ends.stdin = ends.add(reader)

    def _make_output(self, stream: str, owner: int | None) -> int:
        path = self._fifo(stream)
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        writer = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._outputs[stream] = os.open(path, READ)
        if owner is not None:
            os.fchown(writer, owner, -1)
        return writer

    def reopen(self) -> None:
        """Take up the pipes of a predecessor."""
        for stream in OUTPUTS:
            with contextlib.suppress(OSError):
                self._outputs[stream] = os.open(self._fifo(stream), READ)

    def _fifo(self, stream: str) -> Path:
        return self._base.with_name(f"{self._base.name}.{stream}")

    # -- output ---------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Begin to read, or go on."""
        self._paused = False
        for stream, fd in self._outputs.items():
            self._loop.watch(fd, selectors.EVENT_READ, self._reader(stream))

    @property
    def ended(self) -> bool:
        """Tell whether all output is over."""
        return not self._outputs

    def _reader(self, stream: str) -> Callable[[int], None]:
        def read(_events: int) -> None:
            self._read(stream)

        return read

    def _read(self, stream: str) -> bool:
        """Pass on one piece of output; tell whether there was any."""
        fd = self._outputs.get(stream, -1)
        if fd < 0:
            return False
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if not data:
            self._end_output(stream)
            return False
        if self._log is not None:
            self._log.write(stream, data)
            for follower in list(self._followers):
                follower.notify()
        for attachment in list(self._attachments):
            attachment.write(stream, data)
        if any(attachment.full for attachment in self._attachments):
            self._pause()
        return True

    def take_rest(self) -> None:
        """Read what is there now, but no more than a pipe holds: somebody may write on for ever."""
        for stream in list(self._outputs):
            for _ in range(PIPE_SIZE // CHUNK):
                if not self._read(stream):
                    break

    def _end_output(self, stream: str) -> None:
        fd = self._outputs.pop(stream)
        self._loop.forget(fd)
        os.close(fd)
        if not self._outputs:
            self._on_end()

    def _pause(self) -> None:
        self._paused = True
        for fd in self._outputs.values():
            self._loop.forget(fd)

    @property
    def busy(self) -> bool:
        """Tell whether `tick` has something to do."""
        return bool(self._attachments)

    def tick(self) -> None:
        """Look after slow clients."""
        for attachment in [item for item in self._attachments if item.stalled()]:
            attachment.close()
        if self._paused and all(attachment.relieved for attachment in self._attachments):
            self.watch()

    # -- clients --------------------------------------------------------------------------------------

    def attach(self, fds: dict[str, int]) -> tuple[Attachment, int]:
        """Give a client the output from now on; return also a descriptor for input, or -1."""
        attachment = Attachment(self._loop, fds, self._detached)
        self._attachments.append(attachment)
        source = self._terminal if self._terminal >= 0 else self._stdin
        return attachment, os.dup(source) if source >= 0 else -1

    def _detached(self, attachment: Attachment) -> None:
        if attachment in self._attachments:
            self._attachments.remove(attachment)

    def follow(self, fd: int) -> None:
        """Wake a reader of the log when it grows, by a byte into `fd`."""
        self._followers.append(Follower(self._loop, fd, self._followers.remove))

    def close_stdin(self) -> None:
        """Let the container see the end of its input."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    # -- end ------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Read on to the end: the process is gone, and nobody can pause us any more."""
        self._close_terminal()  # ours; the copy that is read gives EIO when the last holder is gone
        self.watch()

    def _close_terminal(self) -> None:
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def close(self) -> None:
        """Close everything; clients get what they have not read yet, and then the end."""
        for fd in self._outputs.values():
            self._loop.forget(fd)
            os.close(fd)
        self._outputs.clear()
        for stream in OUTPUTS:
            self._fifo(stream).unlink(missing_ok=True)
        self.close_stdin()
        self._close_terminal()
        if self._log is not None:
            self._log.close()
        for attachment in list(self._attachments):
            attachment.finish()
        for follower in list(self._followers):
            follower.close()
