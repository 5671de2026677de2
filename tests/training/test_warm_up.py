"""The supervised warm-up: its labels, its network and its saves."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES, object_maps
from lucid_rl.games.coinrun_physics import X
from lucid_rl.games.coinrun_planner import (
    action_costs,
    actions_alike,
    careful_plan,
    deadly_to_the_slow,
)
from lucid_rl.games.coinrun_search import RIGHT
from lucid_rl.games.coinrun_world import as_world
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.model.loading import load
from lucid_rl.training.demonstrations import Demonstrations, FrameBuffer
from lucid_rl.training.initialization import initial_parameters
from lucid_rl.training.ppo import train
from lucid_rl.training.restarts import Restarts, RestartSettings
from lucid_rl.training.saves import read_save
from lucid_rl.training.scouts import ScoutSettings
from lucid_rl.training.teacher import MAP_CLASSES, PlannerTeacher, TeacherSettings
from lucid_rl.training.warm_up import (
    WARM_UP_LOG,
    WARM_UP_SAVE,
    WarmUpLoss,
    WarmUpSettings,
)
from tests.training.test_ppo import tiny

N_MAPS = len(MAP_CLASSES)

EVERY_FRAME = {f"{which}_share": 1.0 for which in ("keep", "air", "plain", "saw")}


def run_right(observations):
    logits = np.full((len(observations), 15), -50, np.float32)
    logits[:, 7] = 50
    return logits, observations


def run_and_jump(observations):
    logits, inputs = run_right(observations)
    logits[:, 8] = 50  # half of the steps with a jump
    return logits, inputs


def counting(student):
    """The same student, and how many frames it is asked about each time."""
    asked = []

    def counted(observations):
        asked.append(len(observations))
        return student(observations)

    return counted, asked


def examples(n=8, seed=0):
    rng = np.random.default_rng(seed)
    actions = rng.integers(0, 15, n)
    return Demonstrations(
        observations=rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8),
        targets=np.eye(15, dtype=np.float32)[actions],
        deadly=np.eye(15, dtype=bool)[(actions + 1) % 15],
        returns=np.full(n, np.nan, np.float32),
        maps=rng.integers(0, 2, (n, 16, 16, N_MAPS), dtype=np.uint8),
        has_maps=np.ones(n, bool),
    )


@pytest.fixture(scope="module")
def network():
    from lucid_rl.training.tensorflow_warm_up import TensorFlowWarmUp

    parameters = initial_parameters("clear", 15, "he", np.random.default_rng(0))
    return TensorFlowWarmUp(parameters, WarmUpLoss(), n_threads=1)


def test_the_teachers_own_play_finishes_levels():
    settings = TeacherSettings(student_share=0, random_share=0, **EVERY_FRAME)
    game = make_game(GameSettings(n_envs=16, seed=1))
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    n_finished = n_ended = n_copied = n_without_plan = 0
    values = []
    for _ in range(80):
        frames = teacher.play(run_right, 1)
        # It has a plan for nearly every frame, to be copied or, in the air, too daring.
        n_labels = frames.targets.sum(axis=1)
        assert len(n_labels) == 16 and set(n_labels) <= {0, 1}
        n_without_plan += (~frames.deadly[n_labels == 0].any(axis=1)).sum()
        assert not (frames.deadly & (frames.targets > 0)).any()
        n_copied += n_labels.sum()
        values.append(frames.returns)
        firsts = game.observe().firsts
        n_ended += firsts.sum()
        n_finished += game.last_level_complete()[firsts].sum()
    assert n_ended >= 16 and n_finished >= 0.95 * n_ended
    assert n_copied > 0.9 * 16 * 80 and n_without_plan < 0.02 * 16 * 80
    # Half a tile nearer, at top speed, is worth a step more, with a fifth for detours.
    steps = np.stack(values)
    assert steps.max() <= 1 and steps.min() >= 0
    steps[steps == 0] = np.nan  # without a plan
    assert np.isnan(steps).mean() < 0.02
    rises = steps[1:] / steps[:-1]
    rises = rises[(rises > 1) & (rises < 1.01)]
    assert 1.001 < rises.max() < 0.999**-1.2 + 1e-5
    game.close()


def test_labels_are_of_the_frames_they_come_with():
    settings = TeacherSettings(student_share=0.5, keep_share=1, plain_share=1)
    game = make_game(GameSettings(n_envs=4, seed=2))
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    indices = [OBJECT_CLASSES.index(name) for name in MAP_CLASSES]
    for _ in range(15):
        observations = game.observe().observations.copy()
        maps = np.stack([object_maps(s)[indices] for s in game.get_states()])
        plans = [careful_plan(as_world(s).as_seen()) for s in game.get_states()]
        frames = teacher.play(run_right, 1)
        for k, picture in enumerate(frames.observations):
            place = [np.array_equal(picture, o) for o in observations].index(True)
            found = frames.maps[k].transpose(2, 0, 1)
            np.testing.assert_array_equal(found, maps[place])
            # A label goes by the picture alone, not by how the agent came there.
            if frames.targets[k].any():
                assert frames.targets[k].argmax() == plans[place][0]
        assert not frames.targets[:, [0, 3, 6, *range(9, 15)]].any()
        assert set(frames.targets.sum(axis=1)) <= {0, 1}
        # What is not deadly is left to the student, or nothing is to blame.
        assert not frames.deadly.all(axis=1).any()
    game.close()


def test_labels_by_cost_leave_open_what_hardly_matters():
    temperature = 1.5
    settings = TeacherSettings(
        student_share=0.5, temperature=temperature, least_probability=1, **EVERY_FRAME
    )
    game = make_game(GameSettings(n_envs=8, seed=2))
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    n_open = 0
    for _ in range(15):
        worlds = [as_world(state).as_seen() for state in game.get_states()]
        frames = teacher.play(run_right, 1)
        assert len(frames) == 8
        for world, target, deadly in zip(
            worlds, frames.targets, frames.deadly, strict=True
        ):
            if target.any():
                costs = action_costs(world, margin=7 * temperature)
                best = costs.argmin()
                # What is deadly to the slow is no choice, whatever it costs.
                expected = np.exp(-costs / temperature) * ~deadly
                assert target.argmax() == best and not deadly[best]
                np.testing.assert_allclose(
                    target / target[best], expected / expected[best], rtol=1e-5
                )
                assert target.sum() == pytest.approx(1)
                n_open += target.max() < 0.9
    assert n_open > 0
    game.close()


def test_a_teacher_may_know_the_levels():
    """Its labels are of plans that mind hazards outside the picture."""
    n_others = 0
    for knows_levels in (False, True):
        settings = TeacherSettings(
            student_share=0, knows_levels=knows_levels, **EVERY_FRAME
        )
        game = make_game(GameSettings(n_envs=16, seed=8))
        teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
        for _ in range(60):
            worlds = [as_world(state) for state in game.get_states()]
            frames = teacher.play(run_right, 1)
            assert len(frames) == 16
            for world, target in zip(worlds, frames.targets, strict=True):
                shown, known = careful_plan(world.as_seen()), careful_plan(world)
                if target.any():
                    followed, other = (known, shown) if knows_levels else (shown, known)
                    assert target.argmax() == followed[0]
                    n_others += followed[:1] != other[:1]
        game.close()
    assert n_others > 0


def test_the_student_is_asked_for_its_stretches_and_where_no_way_is_left():
    """Running and jumping to the right is fatal in levels with hazards."""
    settings = TeacherSettings(
        student_share=1, stretch_steps=1, keep_share=1, air_share=1
    )
    game = make_game(GameSettings(n_envs=64, seed=3))
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    student, asked = counting(run_and_jump)
    frames = teacher.play(student, 60)
    assert asked == [64] * 60
    without_plan = frames.targets.sum(axis=1) == 0
    assert frames.deadly.any() and without_plan.any()
    # The planner gives up where there is still a way to live: that is a label too.
    assert frames.deadly[without_plan].any()
    game.close()


def test_frames_without_hazards_are_kept_where_the_student_is_not_sure():
    """Who always runs right falls off heights that the planner climbs down."""
    settings = TeacherSettings(student_share=0.5, **EVERY_FRAME | {"plain_share": 0})
    game = make_game(GameSettings(n_envs=32, seed=2))
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    n_plain = 0
    for _ in range(60):
        observations = game.observe().observations.copy()
        worlds = [as_world(state).as_seen() for state in game.get_states()]
        frames = teacher.play(run_right, 1)
        kept = {picture.tobytes() for picture in frames.observations}
        for world, picture in zip(worlds, observations, strict=True):
            near = world.hazards_between(-settings.near_left, settings.near_right)
            way = careful_plan(world)
            differs = (
                bool(way) and not actions_alike(RIGHT, world.has_support())[way[0]]
            )
            assert (picture.tobytes() in kept) == (any(near) or differs)
            n_plain += differs and not any(near)
    assert n_plain > 20
    game.close()


def test_the_teacher_returns_to_before_failures():
    """Running into the first hazard, half of the levels begin beyond their start."""
    restarts = RestartSettings(share=0.5, least_steps=5, most_steps=20)
    starts = {}
    for share in (0.0, 0.5):
        settings = TeacherSettings(
            student_share=1, stretch_steps=1, restarts=replace(restarts, share=share)
        )
        game = make_game(GameSettings(n_envs=64, seed=3))
        teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
        starts[share] = []
        for _ in range(100):
            teacher.play(run_and_jump, 1)
            firsts = game.observe().firsts.copy()
            # Where episodes begin is decided when the teacher looks at them.
            teacher.play(run_and_jump, 1)
            states = game.get_states(np.flatnonzero(firsts))
            starts[share] += [as_world(state).agent[X] for state in states]
        game.close()
    assert min(map(len, starts.values())) > 50
    far = {share: np.mean(np.array(x) > 5) for share, x in starts.items()}
    assert far[0.0] < 0.05 and far[0.5] > 0.1


def test_scouts_show_the_student_what_is_at_stake_and_nothing_else():
    settings = TeacherSettings(
        student_share=1,
        scouts=ScoutSettings(count=56, stake_share=1, disturbance=0.1),
        **EVERY_FRAME,
    )
    game = make_game(GameSettings(n_envs=64, seed=2))
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    student, asked = counting(run_and_jump)
    n_at_stake = 0
    for _ in range(40):
        observations = game.observe().observations.copy()
        worlds = [as_world(state).as_seen() for state in game.get_states()]
        frames = teacher.play(student, 1)
        kept = {picture.tobytes() for picture in frames.observations}
        expected = {picture.tobytes() for picture in observations[:8]}
        for world, picture in zip(worlds[8:], observations[8:], strict=True):
            near = world.hazards_between(-settings.near_left, settings.near_right)
            deadly = deadly_to_the_slow(world, settings.hold, settings.reaction)
            if any(near) and deadly.any() and not deadly.all():
                expected.add(picture.tobytes())
                n_at_stake += 1
        assert kept == expected
        assert asked[-1] == len(frames)
    assert n_at_stake > 40
    game.close()


def test_the_failures_of_scouts_are_no_place_to_begin(monkeypatch):
    noted = []
    monkeypatch.setattr(
        Restarts, "note_failure", lambda _, environment, age: noted.append(environment)
    )
    settings = TeacherSettings(
        student_share=1,
        stretch_steps=1,
        scouts=ScoutSettings(count=32, disturbance=0.3),
        restarts=RestartSettings(share=0.5),
    )
    game = make_game(GameSettings(n_envs=36, seed=3))
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    died = set()
    for _ in range(100):
        teacher.play(run_and_jump, 1)
        step = game.observe()
        died |= set(np.flatnonzero(step.firsts & ~game.last_level_complete()))
    assert noted and set(noted) <= set(range(4)) and died > set(noted)
    game.close()


def test_frames_in_other_looks_have_the_labels_of_their_own():
    game = make_game(GameSettings(n_envs=8, seed=1))
    settings = TeacherSettings(n_other_looks=2, **EVERY_FRAME)
    teacher = PlannerTeacher(game, np.random.default_rng(0), settings)
    for _ in range(15):
        frames = teacher.play(run_right, 1)
        own, *others = (frames.take(slice(k * 8, k * 8 + 8)) for k in range(3))
        assert len(frames) == 24
        for other in others:
            assert not np.array_equal(other.observations, own.observations)
            for name in ("targets", "deadly", "returns", "maps"):
                assert np.array_equal(getattr(other, name), getattr(own, name))
    game.close()


def test_a_perfect_copy_has_no_loss_and_a_daring_one_a_risk(network):
    """Hand-computed from the network's own logits."""
    data = examples(32, seed=4)
    network.calibrate([data])
    logits, _ = network.act(data.observations)
    policy = np.exp(logits - logits.max(axis=1, keepdims=True))
    policy /= policy.sum(axis=1, keepdims=True)
    copied = replace(data, targets=policy.astype(np.float32))
    found = network.measure(copied)
    assert found["imitation_loss"] == pytest.approx(0, abs=1e-3)
    assert found["imitation_accuracy"] >= 30 / 32  # but for ties
    assert found["risk"] == pytest.approx(
        (policy * data.deadly).sum(axis=1).mean(), 1e-3
    )
    found = network.measure(data)
    chosen = policy[data.targets > 0]
    assert found["imitation_loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-3)


def test_the_player_kept_does_not_change_with_updates(network):
    data = examples(16, seed=5)
    network.calibrate([data])
    network.hold()
    before, inputs = network.play(data.observations)
    np.testing.assert_array_equal(inputs, data.observations)
    np.testing.assert_allclose(before, network.act(data.observations)[0], atol=1e-5)
    network.update(data, 0.05)
    np.testing.assert_array_equal(network.play(data.observations)[0], before)
    assert not np.allclose(network.act(data.observations)[0], before)


def test_orthogonalized_directions_keep_singular_vectors():
    import tensorflow.compat.v1 as tf

    from lucid_rl.training.tensorflow_warm_up import orthogonalize

    rng = np.random.default_rng(0)
    for shape in ((3, 3, 4, 8), (16, 8), (8, 16)):
        gradient = rng.normal(size=shape).astype(np.float32)
        with tf.Graph().as_default(), tf.Session() as session:
            result = session.run(orthogonalize(tf.constant(gradient)))
        assert result.shape == shape
        matrix = gradient.reshape(-1, shape[-1])
        u, _, v = np.linalg.svd(matrix, full_matrices=False)
        inner = u.T @ result.reshape(matrix.shape) @ v.T
        assert np.all(np.diag(inner) > 0.6) and np.all(np.diag(inner) < 1.3)
        assert np.abs(inner - np.diag(np.diag(inner))).max() < 0.05


def test_folding_gives_a_plain_network_with_the_same_output(network):
    data = examples(64)
    for _ in range(3):
        network.update(data, 0.01)
    network.calibrate([data])
    # The statistics are of the parameters before the step.
    state = network.get_state()
    statistics = network.update(data, 1e-9)
    network.set_state(state)
    logits, _ = network.act(data.observations)
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    loss = -np.log(probability[data.targets > 0]).mean()
    assert loss == pytest.approx(statistics["imitation_loss"], rel=0.02)

    from lucid_rl.checkpoints.checkpoint import Checkpoint

    plain = load(Checkpoint(network.get_parameters()))
    np.testing.assert_allclose(
        plain(data.observations)[0], logits, rtol=1e-3, atol=1e-4
    )


def test_a_trained_network_taken_apart_is_the_same_network(checkpoint_a):
    from lucid_rl.training.tensorflow_warm_up import TensorFlowWarmUp

    network = TensorFlowWarmUp(dict(checkpoint_a.params), WarmUpLoss(), n_threads=1)
    data = examples(32)
    logits, values = network.act(data.observations)
    network.unfold([data.take(slice(0, 16)), data.take(slice(16, 32))])
    for found, expected in zip(
        network.act(data.observations), (logits, values), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)
    # And so it is with the moments of the batch in place of the running ones.
    statistics = network.update(data, 1e-9)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -logits[data.targets > 0].mean()
    assert statistics["imitation_loss"] == pytest.approx(loss, rel=0.01)


def test_frozen_layers_stay_and_the_rest_learns_from_what_they_see(checkpoint_a):
    from lucid_rl.training.tensorflow_warm_up import TensorFlowWarmUp

    given = dict(checkpoint_a.params)
    network = TensorFlowWarmUp(
        given, WarmUpLoss(), n_threads=1, first_trained_layer="3a"
    )
    pictures = examples(32)
    pictures.returns[:] = 0.5
    network.hold()
    _, perceived = network.play(pictures.observations)
    seen = replace(pictures, observations=perceived)
    assert seen.observations.shape == (32, 16, 16, 32)
    logits, _ = network.act(pictures.observations)
    network.unfold([seen])
    np.testing.assert_allclose(
        network.act(pictures.observations)[0], logits, rtol=1e-3, atol=2e-4
    )
    first = network.update(seen, 0.02)
    for _ in range(20):
        last = network.update(seen, 0.02)
    for name in ("imitation_loss", "map_loss"):
        assert last[name] < first[name], name
    # The player looks at pictures, and goes by what was learned.
    network.calibrate([seen])
    network.hold()
    played, _ = network.play(pictures.observations)
    np.testing.assert_allclose(played, network.act(pictures.observations)[0], atol=1e-4)
    assert (played.argmax(1) == pictures.targets.argmax(1)).mean() > 0.5
    for name, value in network.get_parameters().items():
        frozen = any(f"/{layer}/" in name for layer in ("1a", "2a", "2b"))
        assert np.allclose(value, given[name], rtol=1e-4, atol=1e-6) == frozen, name


def test_calibrated_moments_are_averages(network):
    parts = [examples(8, seed=k) for k in range(3)]
    network.calibrate([parts[0]])
    first = network.get_state()
    network.calibrate(parts)
    together = network.get_state()
    network.calibrate(parts[::-1])
    backwards = network.get_state()
    for key in ("means", "variances"):
        for name, value in together[key].items():
            np.testing.assert_allclose(
                value, backwards[key][name], rtol=1e-3, atol=1e-4
            )
            assert not np.allclose(value, first[key][name])
    for name, value in together["variables"].items():
        np.testing.assert_array_equal(value, first["variables"][name])


def test_updates_lower_every_loss(network):
    data = examples(16, seed=1)
    data.returns[:] = np.linspace(0, 1, 16)
    first = network.update(data, 0.01)
    for _ in range(25):
        last = network.update(data, 0.01)
    for name in ("imitation_loss", "map_loss", "value_loss"):
        assert last[name] < first[name], name
    assert last["imitation_accuracy"] > first["imitation_accuracy"]


def test_hidden_kernels_stay_at_their_norm_and_heads_are_free(network):
    state = network.get_state()
    for name in state["means"]:
        kernel = state["variables"][name]
        expected = np.sqrt(min(np.prod(kernel.shape[:-1]), kernel.shape[-1]))
        assert np.linalg.norm(kernel) == pytest.approx(expected, rel=1e-4)


def test_the_buffer_keeps_the_latest_frames():
    buffer = FrameBuffer(10)
    for k in range(4):
        frames = examples(4)
        frames.returns[:] = k
        buffer.add(frames)
    drawn = buffer.draw(500, np.random.default_rng(0))
    counts = np.bincount(drawn.returns.astype(int), minlength=4) / 500
    np.testing.assert_allclose(counts, [0, 0.2, 0.4, 0.4], atol=0.08)
    assert sorted(buffer.all().returns) == [1] * 2 + [2] * 4 + [3] * 4


@pytest.mark.parametrize("first_trained_layer", [None, "3a"])
def test_a_warm_up_goes_on_from_its_save_and_ppo_from_the_warm_up(
    tmp_path, first_trained_layer
):
    warm_up = WarmUpSettings(
        n_updates=3,
        minibatch_size=8,
        buffer_size=32,
        n_envs=8,
        n_steps=2,
        n_held_out=16,
        first_trained_layer=first_trained_layer,
    )
    settings = tiny(tmp_path, warm_up=warm_up, n_total_steps=32)
    # Out of time after one update: a model, but no PPO yet.
    model = train(settings, max_seconds=0.0)
    assert model.args["steps_done"] == 0
    assert read_save(tmp_path, WARM_UP_SAVE)["n_updates_done"] == 1
    assert read_save(tmp_path) is None
    model = train(settings)
    assert read_save(tmp_path, WARM_UP_SAVE)["n_updates_done"] == 3
    lines = (tmp_path / WARM_UP_LOG).read_text().splitlines()
    assert [json.loads(line)["updates"] for line in lines] == [1, 3]
    assert model.args["steps_done"] == 32
    assert model.args["lucid_rl"]["warm_up"]["n_updates"] == 3
    assert 0 <= json.loads(lines[-1])["held_out_risk"] <= 1


def test_no_steps_end_a_run_after_its_warm_up(tmp_path):
    warm_up = WarmUpSettings(
        n_updates=2, minibatch_size=8, buffer_size=32, n_envs=8, n_steps=2
    )
    model = train(tiny(tmp_path, warm_up=warm_up, n_total_steps=0))
    assert model.args["steps_done"] == 0 and read_save(tmp_path) is None
    assert read_save(tmp_path, WARM_UP_SAVE)["n_updates_done"] == 2
    with pytest.raises(SettingsError, match="or 0 for a warm-up alone"):
        tiny(tmp_path, n_total_steps=0)


def test_a_sharper_policy_is_of_the_model_and_not_of_the_save(tmp_path):
    """Twice the logits, the same values: another end to the same run."""
    warm_up = WarmUpSettings(
        n_updates=1, minibatch_size=8, buffer_size=32, n_envs=8, n_steps=2
    )
    runs = [
        train(tiny(tmp_path, warm_up=replace(warm_up, sharpness=s), n_total_steps=0))
        for s in (1, 2)
    ]
    rng = np.random.default_rng(0)
    observations = rng.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    (logits, values), (sharp_logits, sharp_values) = (
        load(run)(observations) for run in runs
    )
    np.testing.assert_allclose(sharp_logits, 2 * logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(sharp_values, values)
    with pytest.raises(SettingsError, match="sharpness is 0"):
        WarmUpSettings(sharpness=0)


def test_a_warm_up_without_labels_is_refused(tmp_path):
    warm_up = WarmUpSettings(n_updates=1)
    other = GameSettings(name="bigfish", n_envs=4)
    with pytest.raises(SettingsError, match="the game is bigfish"):
        train(tiny(tmp_path, warm_up=warm_up, game=other))
    with pytest.raises(SettingsError, match="first_trained_layer is '9a'"):
        WarmUpSettings(first_trained_layer="9a")
    with pytest.raises(SettingsError, match="not impala"):
        train(tiny(tmp_path, warm_up=warm_up, architecture="impala"))
