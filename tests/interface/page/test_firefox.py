"""The page opens and works in Firefox too: a smoke test by Marionette's protocol."""

import itertools
import json
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest

from lucid_rl.model.loading import load
from tests.interface.page.driver import number
from tests.interface.page_fixture import LENGTHS

pytestmark = pytest.mark.browser

_PATIENCE = 120  # seconds


class Firefox:
    """A headless Firefox that runs scripts in a page.

    Marionette is the protocol that every Firefox speaks: JSON arrays, each after its
    length and a colon.
    """

    def __init__(self, path: str, profile, port: int) -> None:
        profile.mkdir()
        (profile / "user.js").write_text(
            f'user_pref("marionette.port", {port});\n'
            'user_pref("security.sandbox.content.level", 0);\n'
        )
        command = [path, "--headless", "--marionette", "--profile", str(profile)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._numbers = itertools.count(1)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self._read()  # its greeting
        self.call("WebDriver:NewSession")

    def _read(self):
        length = b""
        while not length.endswith(b":"):
            length += self._socket.recv(1)
        data = b""
        while len(data) < int(length[:-1]):
            data += self._socket.recv(int(length[:-1]) - len(data))
        return json.loads(data)

    def call(self, command: str, **parameters):
        text = json.dumps([0, next(self._numbers), command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self._read()
        assert error is None, error
        return result

    def run(self, script: str):
        return self.call("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def wait_for(self, condition: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < deadline, f"waited in vain for {condition}"
            time.sleep(0.1)

    def close(self) -> None:
        self._socket.close()
        self.process.terminate()
        self.process.wait(_PATIENCE)


@pytest.fixture
def firefox(tmp_path):
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("there is no Firefox here; `apt-get install firefox-esr` adds it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    browser = Firefox(path, tmp_path / "profile", port)
    yield browser
    browser.close()


_VIEW = "window.lucidRL?.inspect?.()"
_DRAWN = f"{_VIEW}?.drawn.every((r) => r && r.s === {_VIEW}.s)"


def _get(test_id: str) -> str:
    return f"document.querySelector('[data-testid={test_id}]')"


def test_the_page_works_in_firefox(firefox, site, bundle):
    firefox.call(
        "WebDriver:Navigate", url=f"{site.as_uri()}#trajectory=1&frame=124&layer=2b"
    )
    firefox.wait_for(_DRAWN)
    text = firefox.run(f"return {_get('graph-value')}.innerText")
    assert number(text) == pytest.approx(bundle.values["model"][123], rel=6e-3)
    light = firefox.run(f"return Array.from({_VIEW}.drawn[0].pictures[0].rgba)")
    assert np.reshape(light, (32, 32, 4))[..., 3].max() > 100
    firefox.run(f"{_get('forward')}.click()")
    firefox.wait_for(f"{_VIEW}.frame === 124")
    firefox.run(f"{_get('open-1')}.click()")
    firefox.wait_for(f"{_get('density-text')}?.innerText.includes('8')")
    firefox.run(f"{_get('close')}.click()")
    firefox.run(f"{_get('trajectory-3')}.click()")
    firefox.wait_for(f"{_VIEW}.length === {LENGTHS[2]} && {_DRAWN}")
    assert firefox.run("return document.querySelectorAll('[role=alert]').length") == 0


def test_what_if_works_in_firefox(firefox, small_page, small_settings):
    address = f"{small_page.as_uri()}#layer=2b&frame=6"
    firefox.call("WebDriver:Navigate", url=address)
    firefox.wait_for(_DRAWN)
    firefox.run(f"{_get('open-what-if')}.click()")
    firefox.wait_for(f"{_VIEW}.whatIf.error || {_VIEW}.whatIf.after?.maps")
    found = firefox.run(f"return {_VIEW}.whatIf")
    assert found["error"] is None
    model = load(small_settings.model)
    picture = np.array(found["edited"], np.uint8).reshape(1, *model.image_shape)
    logits, values = model(picture)
    assert found["after"]["value"] == pytest.approx(float(values[0]), abs=1e-3)
    np.testing.assert_allclose(found["after"]["logits"], logits[0], atol=1e-3)
