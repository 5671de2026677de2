"""Object maps against the engine's own pixels and against cases done by hand."""

import numpy as np
import pytest
from scipy import ndimage

from lucid_rl.errors import InputError
from lucid_rl.games.coinrun_objects import (
    OBJECT_CLASSES,
    batch_object_maps,
    object_maps,
)
from lucid_rl.games.procgen_state import (
    CRATE,
    ENEMY,
    GOAL,
    LAVA_MID,
    LAVA_TOP,
    SAW,
    SPACE,
    TRAIL,
    WALL_TOP,
    parse_state,
)
from tests.games.test_procgen_state import make_engine

N_ENVS = 32


@pytest.fixture(scope="module")
def engine():
    engine = make_engine(n_envs=N_ENVS, seed=3)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def states(engine):
    rng = np.random.default_rng(0)
    states = []
    for _ in range(9):
        for _ in range(20):
            engine.act(rng.choice([5, 7, 7, 8, 8], N_ENVS))
        states += engine.callmethod("get_state")
    return [parse_state(data) for data in states]


def render(engine, states):
    frames = []
    for start in range(0, len(states), N_ENVS):
        batch = states[start : start + N_ENVS]
        engine.callmethod("set_state", [state.to_bytes() for state in batch])
        frames.append(engine.observe()[1]["rgb"].copy())
    return np.concatenate(frames)


def without(state, object_class):
    """The state with a class of objects made transparent or taken out."""
    state = state.copy()
    entities, kind = state.entities, state.entities["type"]
    hidden = {
        "agent": np.arange(len(kind)) == 0,
        "buzzsaw": kind == SAW,
        "enemy_left": (kind == ENEMY) & (entities["vx"] < 0),
        "enemy_right": (kind == ENEMY) & (entities["vx"] >= 0),
        "box": kind == CRATE,
    }
    if object_class in hidden:
        entities["alpha"][hidden[object_class]] = 0
    elif object_class == "coin":
        state.grid[state.grid == GOAL] = SPACE
    else:
        state.grid[np.isin(state.grid, (LAVA_MID, LAVA_TOP))] = SPACE
    return state


# Share of a class's mask that is really drawn: art is round, masks are boxes.
@pytest.mark.parametrize(
    "object_class, least_filled",
    [
        ("agent", 0.7),
        ("coin", 0.7),
        ("buzzsaw", 0.6),
        ("enemy_left", 0.6),
        ("enemy_right", 0.6),
        ("box", 0.95),
        ("lava", 0.9),
    ],
)
def test_masks_lie_where_the_engine_draws(engine, states, object_class, least_filled):
    masks = batch_object_maps(states, 64)[:, OBJECT_CLASSES.index(object_class)] > 0
    drawn = render(engine, states) != render(
        engine, [without(state, object_class) for state in states]
    )
    drawn = drawn.any(-1)
    assert drawn.sum() > 100
    assert (masks & drawn).sum() >= 0.9 * drawn.sum()
    near = ndimage.binary_dilation(masks, np.ones((1, 3, 3)))
    assert (drawn & ~near).sum() <= 0.03 * drawn.sum()
    assert (masks & drawn).sum() >= least_filled * masks.sum()


def test_velocity_boxes_cover_what_the_speed_paints(engine, states):
    faster = [state.copy() for state in states]
    for state in faster:
        state.agent["vx"] += np.float32(0.2)
        state.agent["vy"] += np.float32(0.4)
    changed = (render(engine, states) != render(engine, faster)).any(-1)
    changed[:, 20:, :] = False  # the agent's own picture may change with its speed
    mask = object_maps(states[0], 64)[OBJECT_CLASSES.index("velocity_boxes")]
    assert np.array_equal(changed.any(0), mask > 0)


def test_a_level_by_hand(states):
    """A scene of one object each, the agent in the middle of a 13-tile view."""
    state = states[0].copy()
    state.grid[:] = SPACE
    state.grid[20, 25:35] = WALL_TOP
    state.grid[21, 33] = GOAL
    state.entities = np.concatenate([state.entities[:1]] * 5)
    kinds = [0, SAW, ENEMY, ENEMY, TRAIL]
    places = [(30.5, 21.5), (26.5, 21.5), (28.5, 21.5), (32.5, 21.5), (35.5, 24.5)]
    for entity, kind, (x, y) in zip(state.entities, kinds, places, strict=True):
        entity["type"], entity["x"], entity["y"], entity["vx"] = kind, x, y, 0.1
    state.entities["vx"][2] = -0.1
    maps = dict(zip(OBJECT_CLASSES, object_maps(state), strict=True))
    assert maps["agent"].dtype == np.uint8

    def cells(object_class):
        return set(zip(*np.nonzero(maps[object_class]), strict=True))

    # 4 tiles left of the middle is pixel 32 - 19.7 = 12.3, in column 3; its lower
    # half tile lies in pixels 32.3 to 34.5, in row 8.
    assert (8, 3) in cells("buzzsaw") and len(cells("buzzsaw")) <= 3
    assert (8, 5) in cells("enemy_left")  # pixel 22.2
    assert (8, 10) in cells("enemy_right")  # pixel 41.8
    assert cells("coin") == {(8, 11)}  # pixel 46.8
    assert {(7, 7), (7, 8), (8, 7), (8, 8)} == cells("agent")
    assert not cells("box") and not cells("lava")
    # The ground's top is at pixel 34.5 and its tiles at 4.9 pixels from 4.9 to 54.2.
    assert (9, 2) in cells("wall_edge") and (9, 12) in cells("wall_edge")
    assert {column for _, column in cells("platform_left_end")} <= {1, 2}
    assert {column for _, column in cells("platform_right_end")} <= {12, 13}
    assert len(cells("velocity_boxes")) == 7 * 4


def test_every_visible_object_is_marked_at_every_size(states):
    fine = batch_object_maps(states, 64).any((2, 3))
    for size in (8, 16, 32):
        coarse = batch_object_maps(states, size)
        assert coarse.shape == (len(states), len(OBJECT_CLASSES), size, size)
        # Only art cut by the border of the picture may be too little for a cell.
        agree = coarse.any((2, 3)) == fine
        assert agree.mean() > 0.97
        assert not (coarse.any((2, 3)) & ~fine).any()


def test_bytes_and_states_give_the_same_maps(states):
    assert np.array_equal(object_maps(states[3].to_bytes()), object_maps(states[3]))


def test_without_painted_velocity_nothing_is_hidden(states):
    state = states[0].copy()
    state.options["paint_vel_info"] = 0
    assert not object_maps(state)[OBJECT_CLASSES.index("velocity_boxes")].any()


@pytest.mark.parametrize("size", [0, -4, 10, 65])
def test_sizes_that_do_not_divide_the_picture_are_refused(states, size):
    with pytest.raises(InputError, match="64"):
        object_maps(states[0], size)
