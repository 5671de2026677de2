"""Watches what happens while a file is read."""

import codecs
import contextlib
import signal
import sys
import threading

import pytest

from tests.checkpoints.released_server import released_files, serving

_FORBIDDEN = (
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
    "exec",
    "compile",
    "import",
    "marshal.",
    "pickle.find_class",
    "code.",
    "glob.",
)

_watching: dict[int, list[str]] = {}


def _audit(event, arguments):
    events = _watching.get(threading.get_ident())
    if events is not None and event.startswith(_FORBIDDEN):
        events.append(f"{event} {str(arguments)[:200]}")


# Python imports a codec when it is first asked for.
for _codec in ("raw-unicode-escape", "latin-1", "utf-8", "ascii"):
    codecs.lookup(_codec)

# An audit hook stays for the life of the process; it is idle unless watched.
sys.addaudithook(_audit)


class _HangError(BaseException):
    """Not an Exception: the reader turns those into its own."""


@contextlib.contextmanager
def _watch(limit_seconds=60):
    """Fails on execution, imports and hangs inside its block."""

    def stop(*_):
        raise _HangError

    identity = threading.get_ident()
    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(limit_seconds)
    events = _watching[identity] = []
    try:
        yield
    finally:
        del _watching[identity]
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert not events


@pytest.fixture(scope="session")
def watched():
    """A context manager inside which nothing may run, be imported or hang."""
    return _watch


@pytest.fixture(scope="session")
def released_contents(tmp_path_factory):
    """The files of a released model, by address."""
    return released_files(tmp_path_factory.mktemp("released"))


@pytest.fixture
def server(released_contents, monkeypatch, tmp_path):
    """A server with released models; the cache is an empty folder."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LUCID_RL_CACHE", str(tmp_path / "cache"))
    # No waiting between attempts.
    monkeypatch.setattr("lucid_rl.checkpoints.downloads._WAIT_SECONDS", 0)
    with serving(released_contents) as running:
        monkeypatch.setenv("LUCID_RL_RELEASED_URL", running.url)
        yield running
