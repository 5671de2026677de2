"""A server on loopback with one model in the released layout, and its failures."""

import contextlib
import http.server
import pathlib
import socketserver
import threading
import time

import joblib
import numpy as np

from tests.checkpoints.jd_values import DATA, GOLDEN_CHECKPOINT

INDEX = """<html><body><h1>Models</h1><ul>
<li>coinrun</li><li>finite_levels/run_1/coinrun_100</li>
<li>edit/one_of_the_servers (an edited model)</li></ul></body></html>"""


def released_files(folder: pathlib.Path) -> dict[str, bytes]:
    """Contents by address, for the models "coinrun" and "procgen/maze".

    Both are the golden checkpoint, with its graph and metadata as the original code
    wrote them, and its first observations and trajectory.
    """
    with np.load(DATA / "golden_A" / "arrays.npz") as arrays:
        observations = {"observations": arrays["obs_u8"][:8]}
        trajectories = {
            name: arrays[f"traj_{name}"]
            for name in ("observations", "actions", "rewards", "firsts")
        }
    golden = GOLDEN_CHECKPOINT.with_suffix
    files = {
        ".jd": golden(".jd").read_bytes(),
        ".model.pb": golden(".model.pb").read_bytes(),
        ".metadata.jd": golden(".metadata.jd").read_bytes(),
        ".observations.jd": _dumped(observations, folder),
        ".trajectories.jd": _dumped(trajectories, folder),
    }
    contents = {"index.html": INDEX.encode()}
    for group, name in (("", "coinrun"), ("procgen/", "maze")):
        for suffix, data in files.items():
            inner = "" if suffix == ".jd" else "rl-clarity/"
            contents[f"{group}{inner}{name}{suffix}"] = data
    return contents


def _dumped(value, folder: pathlib.Path) -> bytes:
    path = folder / "dumped.jd"
    joblib.dump(value, path)
    return path.read_bytes()


class ReleasedServer:
    """What the server offers, how it fails, and what it was asked for."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = dict(contents)
        self.breaks: dict[str, int] = {}
        # Addresses whose bodies never end, and seconds between their pieces.
        self.endless: dict[str, float] = {}
        self.gets: list[str] = []
        self.url = ""
        self.stopped = False

    def answer(self, handler: http.server.BaseHTTPRequestHandler, body: bool) -> None:
        address = handler.path.lstrip("/")
        data = self.contents.get(address)
        if data is None:
            handler.send_error(404)
            return
        handler.send_response(200)
        if address in self.endless:
            handler.end_headers()
            self.gets.append(address)
            pause = self.endless[address]
            # The other side goes away at some time.
            with contextlib.suppress(OSError):
                while not self.stopped:
                    handler.wfile.write(b"x" if pause else bytes(2**16))
                    handler.wfile.flush()
                    time.sleep(pause)
            return
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if not body:
            return
        self.gets.append(address)
        if self.breaks.get(address, 0) > 0:
            self.breaks[address] -= 1
            handler.wfile.write(data[: len(data) // 2])
            handler.close_connection = True
        else:
            with contextlib.suppress(OSError):
                handler.wfile.write(data)


@contextlib.contextmanager
def serving(contents: dict[str, bytes]):
    """Serves until the block ends."""
    server = ReleasedServer(contents)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self, body=True)

        def do_HEAD(self):
            server.answer(self, body=False)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_port}/"
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.stopped = True
            listener.shutdown()
            thread.join()


@contextlib.contextmanager
def answering(beginning: bytes, rest: bytes = b"", pause: float = 0):
    """The address of a server that sends what it likes, and `rest` without end."""
    stopped = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(2**16)
            # The other side goes away at some time.
            with contextlib.suppress(OSError):
                self.request.sendall(beginning)
                while rest and not stopped.wait(pause):
                    self.request.sendall(rest)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_address[1]}/file"
        finally:
            stopped.set()
            listener.shutdown()
            thread.join()
