import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lucid_rl.child_process import ChildProcess
from lucid_rl.errors import GameError, InputError, ProcessError, SettingsError
from lucid_rl.games.isolated_game import IsolatedGame
from lucid_rl.games.procgen_game import ProcgenGame
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings, GameStep, VectorGame
from tests.games.test_procgen_game import assert_same, play, random_actions


class Fragile(VectorGame):
    """A game of nothing; ends its process, in one way or another, when asked."""

    n_actions, action_combos = 15, [()] * 15
    has_completion = False

    def __init__(self, settings):
        self.settings, self.n_envs = settings, settings.n_envs

    def observe(self):
        n = self.n_envs
        observations = np.zeros((n, 64, 64, 3), np.uint8)
        return GameStep(np.zeros(n, np.float32), observations, np.ones(n, bool))

    def act(self, actions):
        if actions[0] == 12:
            raise InputError("twelve")
        if actions[0] == 13:
            raise ValueError("thirteen")
        if actions[0] == 14:
            print("the engine is on fire", file=sys.stderr, flush=True)
            os.abort()

    def level_seeds(self):
        return np.arange(self.n_envs)


def cannot_be_made(settings):
    sys.exit("no engine here")


def fragile():
    return IsolatedGame(Fragile, GameSettings(n_envs=2))


def assert_gone(pid):
    """The process ends within a while, and leaves no zombie behind."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")


def test_a_game_is_the_same_in_a_process_of_its_own():
    actions = random_actions(40, 3)
    settings = GameSettings(n_envs=3, full_resolution=True)
    results = []
    for isolated in (False, True):
        with make_game(settings.replace(isolated=isolated)) as game:
            assert isinstance(game, IsolatedGame) == isolated
            steps = play(game, actions)
            states = game.get_states()
            assert game.get_states([2, 0]) == [states[2], states[0]]
            frames = game.full_resolution()
            later = play(game, actions[:10])
            game.set_states(states)
            again = play(game, actions[:10])
            assert_same(later, again)
            game.start_levels([2, 0], [5, 6])
            game.act(actions[0])
            started = play(game, actions[1:5])
            results.append([*steps, frames, *later, *started])
            results[-1].append(game.last_level_complete())
            assert (game.n_actions, len(game.action_combos)) == (15, 15)
    assert_same(*results)


def test_a_step_cannot_be_written_to():
    with fragile() as game:
        for array in game.observe():
            with pytest.raises(ValueError):
                array[...] = 0


def test_the_packages_errors_pass_through_and_the_game_goes_on():
    with fragile() as game:
        game.act(np.array([12, 0]))
        with pytest.raises(InputError, match="twelve"):
            game.observe()
        with pytest.raises(GameError, match="states of coinrun cannot"):
            game.get_states()
        game.act(np.array([1, 0]))
        assert game.observe().firsts.all()
        np.testing.assert_array_equal(game.level_seeds(), [0, 1])


def test_other_errors_become_game_errors():
    with fragile() as game:
        game.act(np.array([13, 0]))
        with pytest.raises(GameError, match="thirteen"):
            game.observe()


def test_the_end_of_the_child_is_a_game_error_with_its_last_words():
    game = fragile()
    pid = game.pid
    game.act(np.array([14, 0]))
    with pytest.raises(GameError, match=r"SIGABRT.*\n?.*on fire"):
        game.observe()
    assert_gone(pid)
    with pytest.raises(GameError, match="closed"):
        game.observe()


def test_a_killed_child_is_a_game_error():
    game = fragile()
    os.kill(game.pid, signal.SIGKILL)
    with pytest.raises(GameError, match="SIGKILL"):
        game.get_states()


def test_a_game_that_cannot_be_made():
    with pytest.raises(GameError, match="no engine here"):
        IsolatedGame(cannot_be_made, GameSettings(n_envs=1))
    with pytest.raises(SettingsError, match="pong"):
        IsolatedGame(ProcgenGame, GameSettings(name="pong"))


def test_closing_ends_the_child():
    game = fragile()
    pid = game.pid
    game.act(np.zeros(2, int))
    game.close()
    game.close()
    assert_gone(pid)


def test_a_forgotten_game_ends_its_child():
    game = fragile()
    pid = game.pid
    del game
    assert_gone(pid)


def test_a_stopped_child_is_ended_too():
    child = ChildProcess(time.sleep, (), name="sleeper", patience_s=0.2)
    os.kill(child.pid, signal.SIGSTOP)
    child.close()
    assert child.closed
    assert_gone(child.pid)


def _speaks_and_dies(connection):
    print("libpng warning: iCCP", file=sys.stderr, flush=True)
    connection.send("ready")
    connection.recv()
    os._exit(3)


def test_old_warnings_are_not_a_childs_last_words():
    child = ChildProcess(_speaks_and_dies, (), name="speaker")
    assert child.receive() == "ready"
    child.send("go")
    with pytest.raises(ProcessError, match=r"ended \(exit code 3\)$"):
        child.receive()


def _works_for_long(connection):
    connection.send("ready")
    time.sleep(60)


_BUSY_PARENT = """
import time
from lucid_rl.child_process import ChildProcess
from tests.games.test_isolated_game import _works_for_long
child = ChildProcess(_works_for_long, (), name="worker")
child.receive()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_child_at_work_ends_soon_after_its_parent():
    parent = subprocess.Popen(
        [sys.executable, "-c", _BUSY_PARENT],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    with parent:
        child = int(parent.stdout.readline())
        parent.kill()
    assert_gone(child)


_PARENT = """
import signal, sys, time
# A background job's children ignore it from birth.
signal.signal(signal.SIGINT, signal.default_int_handler)
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.games.isolated_game import IsolatedGame
from tests.games.test_isolated_game import Fragile
game = IsolatedGame(Fragile, GameSettings(n_envs=1))
print(game.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_does_not_outlive_its_parent(end):
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    with parent:
        child = int(parent.stdout.readline())
        parent.send_signal(end)
        parent.wait(60)
    assert_gone(child)
