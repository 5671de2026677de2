"""Laws of PPO's computations, and one engine held against the other."""

import dataclasses

import numpy as np
import pytest

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.errors import SettingsError
from lucid_rl.training.engine import (
    STATISTICS,
    VALUE_HEAD,
    Batch,
    LossSettings,
    make_engine,
)
from lucid_rl.training.initialization import initial_parameters
from lucid_rl.training.noise import NoiseSettings

N_ACTIONS = 5
GUIDED = LossSettings(risk_coefficient=0.7, imitation_coefficient=0.3)


def parameters(architecture="clear", seed=0):
    return initial_parameters(
        architecture, N_ACTIONS, "glorot", np.random.default_rng(seed)
    )


def batch(n=8, seed=0):
    rng = np.random.default_rng(seed)
    return Batch(
        observations=rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8),
        actions=rng.integers(0, N_ACTIONS, n).astype(np.int32),
        log_probabilities=rng.uniform(-2, -1, n).astype(np.float32),
        values=rng.normal(size=n).astype(np.float32),
        returns=rng.normal(size=n).astype(np.float32),
        deadly=rng.random((n, N_ACTIONS)) < 0.2,
        advice=rng.integers(-1, N_ACTIONS, n).astype(np.int32),
    )


def engine(
    name,
    architecture="clear",
    loss=GUIDED,
    noise=NoiseSettings(),  # noqa: B008
    **options,
):
    if name == "jax":
        pytest.importorskip("jax", reason="an optional extra")
    return make_engine(
        name, architecture, parameters(architecture), loss, noise, **options
    )


@pytest.fixture(scope="module")
def shared_engines():
    """Each engine compiles its functions once for all tests, at the sizes below."""
    return {}


@pytest.fixture(params=["tensorflow", "jax"])
def fresh(request, shared_engines):
    return reset(shared_engines, request.param)


def reset(shared_engines, name):
    if name not in shared_engines:
        made = engine(name)
        shared_engines[name] = made, made.get_state()
    made, state = shared_engines[name]
    made.set_state(state)
    return made


INDICES = np.arange(8).reshape(2, 4)
ADVANTAGES = np.random.default_rng(1).normal(size=8).astype(np.float32)


def assert_same_gradients(first, second, data, advantages):
    (s1, g1), (s2, g2) = (e.gradients(data, advantages) for e in (first, second))
    for name in STATISTICS:
        np.testing.assert_allclose(s1[name], s2[name], rtol=1e-4, atol=1e-5)
    for name, gradient in g1.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(g2[name], gradient, rtol=1e-3, atol=1e-4 * scale)


def test_engines_agree(shared_engines):
    both = [reset(shared_engines, name) for name in ("tensorflow", "jax")]
    data = batch()
    for ours, theirs in zip(*(e.act(data.observations) for e in both), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert_same_gradients(*both, data.take(np.arange(4)), ADVANTAGES[:4])

    statistics = [e.update(data, INDICES, ADVANTAGES[INDICES], 1e-3) for e in both]
    for name in STATISTICS:
        np.testing.assert_allclose(
            statistics[0][name], statistics[1][name], rtol=1e-3, atol=1e-4
        )
    after = [e.get_parameters() for e in both]
    for name, start in parameters().items():
        # Adam divides by the gradient's size, so its smallest entries are noisy.
        changes = [a[name] - start for a in after]
        gap = np.abs(changes[0] - changes[1])
        assert np.mean(gap) < 1e-2 * np.mean(np.abs(changes[0])) + 1e-9, name


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["impala", "impala_torch", "nature"])
def test_engines_agree_on_other_architectures(architecture):
    both = [engine(name, architecture) for name in ("tensorflow", "jax")]
    assert_same_gradients(*both, batch(4), ADVANTAGES[:4])


@pytest.mark.parametrize("bfloat16", [False, True])
def test_frozen_layers_serve_acting_and_updates_and_stay_as_they_are(bfloat16):
    options = {"bfloat16": bfloat16, "first_trained_layer": "3a"}
    frozen = engine("tensorflow", **options)
    whole = engine("tensorflow", bfloat16=bfloat16)
    data = batch()
    perceived = frozen.perceive(data.observations)
    assert perceived.shape == (8, 16, 16, 32)
    for ours, theirs in zip(
        frozen.act(perceived), whole.act(data.observations), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    seen = dataclasses.replace(data, observations=perceived)
    statistics, gradients = frozen.gradients(seen, ADVANTAGES)
    expected_statistics, expected = whole.gradients(data, ADVANTAGES)
    assert statistics["risk"] == pytest.approx(expected_statistics["risk"], rel=1e-4)
    for name, gradient in gradients.items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            gradient, expected[name], rtol=1e-2, atol=1e-3 * scale
        )
    frozen.update(seen, INDICES, ADVANTAGES[INDICES], 1e-3)
    for name, start in parameters().items():
        same = np.array_equal(frozen.get_parameters()[name], start)
        assert same == any(f"/{layer}/" in name for layer in ("1a", "2a", "2b")), name
        assert same == (name not in gradients)


def test_engines_agree_on_frozen_layers():
    both = [engine(n, first_trained_layer="3a") for n in ("tensorflow", "jax")]
    data = batch(4)
    perceived = [e.perceive(data.observations) for e in both]
    np.testing.assert_allclose(*perceived, rtol=1e-4, atol=1e-5)
    data = dataclasses.replace(data, observations=perceived[0])
    assert_same_gradients(*both, data, ADVANTAGES[:4])
    for e in both:
        e.update(data, INDICES[:1], ADVANTAGES[None, :4], 1e-3)
    for name, start in parameters().items():
        kept = [np.array_equal(e.get_parameters()[name], start) for e in both]
        assert kept[0] == kept[1], name


def test_layers_to_freeze_are_known_ones():
    with pytest.raises(SettingsError, match="expected one of 1a, 2a, 2b, 3a, 4a"):
        engine("tensorflow", first_trained_layer="5a")


def test_gradients_then_apply_is_an_update(fresh):
    data, start = batch().take(np.arange(4)), fresh.get_state()
    advantages = ADVANTAGES[:4]
    _, gradients = fresh.gradients(data, advantages)
    fresh.apply_gradients(gradients, 1e-3)
    applied = fresh.get_parameters()
    fresh.set_state(start)
    fresh.update(batch(), INDICES[:1], advantages[None], 1e-3)
    for key, value in fresh.get_parameters().items():
        np.testing.assert_allclose(value, applied[key], rtol=1e-5, atol=1e-7)


def test_value_only_changes_the_value_head_alone(fresh):
    before = fresh.get_parameters()
    fresh.update(batch(), INDICES, ADVANTAGES[INDICES], 1e-3, True)
    after = fresh.get_parameters()
    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    assert changed == set(VALUE_HEAD)


def test_state_is_all_that_further_updates_depend_on(fresh):
    data, advantages = batch(), ADVANTAGES[INDICES]
    fresh.update(data, INDICES, advantages, 1e-3)
    state = fresh.get_state()
    fresh.update(data, INDICES, advantages, 1e-3)
    later = fresh.get_parameters()
    fresh.set_state(state)
    fresh.update(data, INDICES, advantages, 1e-3)
    for key, value in fresh.get_parameters().items():
        np.testing.assert_allclose(value, later[key], rtol=1e-5, atol=1e-7)


def test_loss_by_hand():
    import tensorflow.compat.v1 as tf

    from lucid_rl.training.tensorflow_engine import ppo_loss

    # Two actions with equal probability; the first transition's was 0.25 before.
    transitions = {
        "actions": np.array([0, 1], np.int32),
        "log_probabilities": np.log([0.25, 0.5]).astype(np.float32),
        "values": np.array([0.0, 1.0], np.float32),
        "returns": np.array([1.0, 1.0], np.float32),
        "deadly": np.array([[False, False], [True, False]]),
        "advice": np.array([1, -1], np.int32),
    }
    settings = LossSettings(
        clip_range=0.2,
        value_coefficient=0.5,
        risk_coefficient=2,
        imitation_coefficient=3,
    )
    with tf.Graph().as_default(), tf.Session() as session:
        total, statistics = session.run(
            ppo_loss(
                tf.zeros((2, 2)),
                tf.constant([0.5, 1.0]),
                {key: tf.constant(value) for key, value in transitions.items()},
                tf.constant([1.0, -1.0]),
                settings,
            )
        )
    # Ratios 2 and 1; a gain is clipped at 1.2, a loss is not.
    assert statistics["policy_loss"] == pytest.approx((-1.2 + 1.0) / 2)
    assert statistics["clip_fraction"] == pytest.approx(0.5)
    # The first value moved by 0.5 but counts as moved by 0.2: error 0.8 squared.
    assert statistics["value_loss"] == pytest.approx(0.5 * 0.8**2 / 2)
    assert statistics["entropy"] == pytest.approx(np.log(2))
    assert statistics["approximate_kl"] == pytest.approx((2 - 1 - np.log(2)) / 2)
    assert statistics["risk"] == pytest.approx(0.5)  # of the one frame at stake
    risk_loss = -np.log(1 - 0.99 * 0.5) / 2
    assert statistics["agreement"] == pytest.approx(0.5)
    assert total == pytest.approx(
        -0.1 + 0.5 * 0.16 - 0.01 * np.log(2) + 2 * risk_loss + 3 * np.log(2) / 2
    )


def test_gradients_are_clipped_to_the_largest_norm(fresh):
    # Adam's first step hides the scale; its first moment shows it.
    big = {name: np.full_like(p, 10.0) for name, p in parameters().items()}
    fresh.apply_gradients(big, 1e-3)
    mean = np.concatenate([m.ravel() for m in fresh.get_state()["adam_mean"].values()])
    limit = LossSettings().max_gradient_norm
    assert np.linalg.norm(mean) == pytest.approx(0.1 * limit, rel=1e-3)
    small = {name: np.full_like(p, 1e-5) for name, p in parameters().items()}
    fresh.set_state(
        fresh.get_state() | {"adam_mean": {n: 0 * p for n, p in big.items()}}
    )
    fresh.apply_gradients(small, 1e-3)
    for mean in fresh.get_state()["adam_mean"].values():
        np.testing.assert_allclose(mean, 1e-6, rtol=1e-3)


@pytest.mark.parametrize(
    "name", ["tensorflow", pytest.param("jax", marks=pytest.mark.slow)]
)
def test_adversarial_noise_raises_the_loss(name):
    data, advantages = batch(4), np.ones(4, np.float32)
    clean, attacked = (
        engine(
            name,
            loss=LossSettings(),
            noise=NoiseSettings(adversarial_epsilon=epsilon),
        )
        for epsilon in (0.0, 0.05)
    )

    def loss(e):
        s = e.gradients(data, advantages)[0]
        return s["policy_loss"] + 0.5 * s["value_loss"] - 0.01 * s["entropy"]

    assert loss(attacked) > loss(clean) + 1e-3
    # Acting sees the game as it is.
    np.testing.assert_array_equal(
        clean.act(data.observations)[0], attacked.act(data.observations)[0]
    )


def test_bfloat16_keeps_parameters_in_float32_and_outputs_close():
    exact, rounded = engine("tensorflow"), engine("tensorflow", bfloat16=True)
    data = batch(8)
    for a, b in zip(
        exact.act(data.observations), rounded.act(data.observations), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=0.02 * max(1, np.abs(a).max()))
        assert not np.array_equal(a, b)
    assert {p.dtype for p in rounded.get_parameters().values()} == {
        np.dtype(np.float32)
    }


def test_acting_agrees_with_the_graph_model():
    from lucid_rl.checkpoints.checkpoint import Checkpoint
    from lucid_rl.model.loading import load

    for architecture in ARCHITECTURES:
        checkpoint = Checkpoint(parameters(architecture), {"cnn": architecture})
        observations = batch(3).observations
        expected = load(checkpoint)(observations)
        found = engine("tensorflow", architecture).act(observations)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_unknown_engine_is_refused():
    with pytest.raises(SettingsError, match="expected tensorflow or jax"):
        engine("torch")
