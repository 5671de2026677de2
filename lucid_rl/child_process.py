"""Child processes that end with their parent.

Unlike multiprocessing's children, these do not import the parent's main module, so
that a notebook or a script without a main guard can start them, and they start no
helper process. A child ends when the socket to its parent closes, whatever it is doing.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import IO, Any

from lucid_rl.errors import LucidRLError, ProcessError

_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from lucid_rl.child_process import _run; _run(int(sys.argv[1]))"
)
# How long a child may run after its parent has ended, in seconds.
_GRACE_S = 5.0


class ChildProcess:
    """A function that runs in a child process.

    Args:
        function: what to run, called with the child's end of the connection and
            then `arguments`; something that can be imported by name. It should
            return when the connection closes (`EOFError`).
        arguments: passed on; they must be picklable.
        name: what the child is, for messages.
        files: descriptors that the child inherits under the same numbers.
        environment: variables to set in the child besides the parent's.
        patience_s: how long the child may take to end by itself, in seconds.

    Attributes:
        connection: the parent's end, to wait on; see `send` and `receive`.
        pid: the child's process number.
    """

    def __init__(
        self,
        function: Callable[..., None],
        arguments: tuple = (),
        *,
        name: str,
        files: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        patience_s: float = 5.0,
    ) -> None:
        self._patience_s = patience_s
        self._name = name
        # Kept open to read what the child writes before it ends.
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        # Output from before its last answer is not the reason for its end.
        self._n_bytes_seen = 0
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _BOOTSTRAP),
                    *(str(theirs.fileno()), json.dumps(sys.path)),
                ],
                pass_fds=(theirs.fileno(), *files),
                stdin=subprocess.DEVNULL,
                stderr=self._stderr,
                env={**os.environ, **(environment or {})},
            )
        self.pid = self._process.pid
        self.connection = Connection(ours.detach())
        self._finalizer = weakref.finalize(
            self, _end, self._process, self.connection, self._stderr, patience_s
        )
        self.send((function, arguments))

    @property
    def closed(self) -> bool:
        """Whether the child was ended."""
        return not self._finalizer.alive

    def send(self, message: Any) -> None:
        """Sends a picklable message; `ProcessError` if the child has ended."""
        try:
            self.connection.send(message)
        except OSError:
            self._raise_end()

    def receive(self) -> Any:
        """Waits for the child's next message.

        Raises:
            LucidRLError: the child raised one, or sent one.
            ProcessError: the child ended; what it has written to standard error since
                its last answer is in the message.
        """
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self._raise_end()
        self._n_bytes_seen = os.fstat(self._stderr.fileno()).st_size
        if isinstance(message, LucidRLError):
            raise message
        return message

    def close(self) -> None:
        """Ends the child and waits for its end. Closing twice is allowed."""
        self._finalizer()

    def _raise_end(self) -> None:
        if self.closed:
            raise ProcessError(f"the process of the {self._name} is closed")
        try:
            code = self._process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            reason = "no longer answers"
        else:
            reason = f"ended ({_exit_text(code)})"
        self._stderr.seek(self._n_bytes_seen)
        words = self._stderr.read().decode(errors="replace").strip()
        self.close()
        raise ProcessError(
            f"the process of the {self._name} {reason}"
            + (f": {words[-500:]}" if words else "")
        )


def as_message(error: Exception, name: str) -> LucidRLError:
    """An error to send to the parent: the package's own as it is."""
    if isinstance(error, LucidRLError):
        return error
    return ProcessError(f"in the process of the {name}: {traceback.format_exc()}")


def _run(file: int) -> None:
    # Ctrl-C reaches both processes; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(file,), daemon=True).start()
    with Connection(file) as connection:
        try:
            function, arguments = connection.recv()
            function(connection, *arguments)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            # The parent has ended, or closed the connection.
            return
        except Exception as error:
            connection.send(as_message(error, "child"))


def _end_with_parent(file: int) -> None:
    """Ends this process a while after the other end of a socket has closed."""
    watch = select.poll()
    watch.register(file, getattr(select, "POLLRDHUP", select.POLLHUP))
    watch.poll()
    time.sleep(_GRACE_S)
    os._exit(1)


def _exit_text(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _end(
    process: subprocess.Popen,
    connection: Connection,
    stderr: IO[bytes],
    patience_s: float,
) -> None:
    connection.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    stderr.close()
