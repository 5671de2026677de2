"""CoinRun's state bytes: exact round trip, meaning of fields, refusal of damage."""

import numpy as np
import pytest
from procgen import ProcgenGym3Env

from lucid_rl.errors import FileFormatError
from lucid_rl.games import procgen_state
from lucid_rl.games.procgen_state import parse_state


def make_engine(n_envs=4, seed=7, **options):
    options = {"distribution_mode": "hard", "paint_vel_info": True, **options}
    return ProcgenGym3Env(
        num=n_envs, env_name="coinrun", rand_seed=seed, num_threads=1, **options
    )


@pytest.fixture(scope="module")
def states():
    """States of 8 environments over 120 random steps, a snapshot every 10."""
    engine = make_engine(n_envs=8)
    rng = np.random.default_rng(0)
    snapshots = []
    for step in range(120):
        if step % 10 == 0:
            snapshots += engine.callmethod("get_state")
        engine.act(rng.integers(0, 15, 8))
    engine.close()
    return snapshots


def test_round_trip_is_exact(states):
    for data in states:
        assert parse_state(data).to_bytes() == data


@pytest.mark.parametrize(
    "options",
    [
        {"distribution_mode": "easy"},
        {"num_levels": 3, "start_level": 40},
        {"use_sequential_levels": True, "center_agent": False},
    ],
)
def test_round_trip_under_other_options(options):
    engine = make_engine(**options)
    for _ in range(5):
        engine.act(np.full(4, 7))
    for data in engine.callmethod("get_state"):
        assert parse_state(data).to_bytes() == data
    engine.close()


def test_first_state_of_a_level():
    engine = make_engine(n_envs=1, num_levels=1, start_level=123)
    state = parse_state(engine.callmethod("get_state")[0])
    engine.close()
    assert state.level_seed == 123
    assert state.time == 0
    assert state.agent["type"][0] == procgen_state.PLAYER
    assert (state.agent["x"][0], state.agent["rx"][0]) == (1.5, 0.5)
    assert state.agent["y"][0] == np.float32(1) + np.float32(0.5787)
    assert state.grid.shape == (64, 64)
    # The floor lies in row 0, walls stand left and right, one coin lies somewhere.
    assert state.grid[0, 1] == procgen_state.WALL_TOP
    assert np.all(state.grid[1:, 0] == procgen_state.WALL_MID)
    assert np.sum(state.grid == procgen_state.GOAL) == 1
    assert state.options["paint_vel_info"][0] == 1
    assert state.coinrun["gravity"][0] == np.float32(0.2)


def test_changed_state_is_what_the_engine_shows():
    engine = make_engine(n_envs=1, seed=3)
    state = parse_state(engine.callmethod("get_state")[0])
    state.agent["x"] = 1.75
    state.episode["cur_time"] = 11
    engine.callmethod("set_state", [state.to_bytes()])
    back = parse_state(engine.callmethod("get_state")[0])
    assert back.agent["x"][0] == 1.75
    assert back.time == 11
    # The engine recomputes the projection when it draws, and nothing else.
    back.world, back.view = state.world, state.view
    assert back.to_bytes() == state.to_bytes()
    engine.close()


def test_entities_may_be_removed_and_added(states):
    state = next(
        state
        for state in map(parse_state, states)
        if np.any(state.entities["type"] == procgen_state.SAW)
    )
    without = state.copy()
    without.entities = state.entities[state.entities["type"] != procgen_state.SAW]
    assert len(without.entities_of_type(procgen_state.SAW)) == 0
    assert len(state.entities_of_type(procgen_state.SAW)) > 0
    more = state.copy()
    more.entities = np.concatenate([state.entities, state.entities[1:2]])
    engine = make_engine(n_envs=2)
    engine.callmethod("set_state", [without.to_bytes(), more.to_bytes()])
    first, second = map(parse_state, engine.callmethod("get_state"))
    engine.close()
    assert len(first.entities) == len(without.entities)
    assert len(second.entities) == len(state.entities) + 1


def test_copy_shares_nothing(states):
    data = states[0]
    state = parse_state(data)
    other = state.copy()
    other.entities["x"] += 1
    other.grid[:] = 0
    other.episode["cur_time"] = 5
    assert state.to_bytes() == data


def test_every_shortening_is_refused(states):
    data = states[0]
    rng = np.random.default_rng(1)
    for length in [0, 3, 4, 11, 20, *rng.integers(0, len(data), 300), len(data) - 1]:
        with pytest.raises(FileFormatError):
            parse_state(data[:length])


def test_trailing_bytes_are_refused(states):
    with pytest.raises(FileFormatError, match="after its end marker"):
        parse_state(states[0] + b"\0\0\0\0")


def test_random_damage_raises_nothing_else(states):
    rng = np.random.default_rng(2)
    for _ in range(500):
        data = bytearray(states[rng.integers(len(states))])
        for position in rng.integers(0, len(data), 3):
            data[position] = rng.integers(256)
        if rng.random() < 0.5:  # aim at the lengths near the front
            start = 4 * rng.integers(0, 24)
            data[start : start + 4] = rng.bytes(4)
        try:
            state = parse_state(bytes(data))
        except FileFormatError:
            continue
        assert state.to_bytes() == bytes(data)


def test_other_games_and_types_are_refused(states):
    engine = ProcgenGym3Env(num=1, env_name="maze", num_threads=1)
    other = engine.callmethod("get_state")[0]
    engine.close()
    with pytest.raises(FileFormatError, match="maze"):
        parse_state(other)
    with pytest.raises(FileFormatError, match="version"):
        parse_state(b"\x05" + states[0][1:])
    with pytest.raises(FileFormatError, match="bytes"):
        parse_state("coinrun")


@pytest.mark.parametrize(
    "field, value",
    [
        ("entities", np.zeros((0,), procgen_state.ENTITY_DTYPE)),
        ("entities", np.zeros((3, 5))),
        ("grid", np.zeros(4096, np.int32)),
        ("grid", np.zeros((64, 64), np.int64)),
        ("episode", np.zeros((2,), procgen_state.EPISODE_DTYPE)),
        ("coinrun", None),
    ],
)
def test_writer_refuses_what_the_engine_could_not_read(states, field, value):
    state = parse_state(states[0])
    setattr(state, field, value)
    with pytest.raises(FileFormatError):
        state.to_bytes()
