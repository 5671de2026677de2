"""Laws of the learner's computations, and one backend held against the other."""

import itertools
import pickle

import numpy as np
import pytest

from lucid_rl.checkpoints.architectures import ARCHITECTURES
from lucid_rl.errors import SettingsError
from lucid_rl.training.config import TrainConfig
from lucid_rl.training.initialization import initial_parameters
from lucid_rl.training.learner import Learner
from lucid_rl.training.noise import NoiseSettings
from tests.programs import run_python
from tests.training import OPTIMIZER

N_ACTIONS = 5


def parameters(architecture="clear", seed=0):
    return initial_parameters(
        architecture, N_ACTIONS, "glorot", np.random.default_rng(seed)
    )


def batch(n=4, seed=0):
    """Transitions with a teacher's outputs: every part of the loss takes part."""
    rng = np.random.default_rng(seed)
    return {
        "observations": rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8),
        "actions": rng.integers(0, N_ACTIONS, n).astype(np.int32),
        "log_probabilities": rng.uniform(-2, -1, n).astype(np.float32),
        "values": rng.normal(size=n).astype(np.float32),
        "returns": rng.normal(size=n).astype(np.float32),
        "advantages": rng.normal(size=n).astype(np.float32),
        "teacher_logits": rng.normal(size=(n, N_ACTIONS)).astype(np.float32),
        "teacher_values": rng.normal(size=n).astype(np.float32),
        "teacher_weight": np.float32(0.5),
    }


def learner(architecture="clear", **options):
    config = TrainConfig(architecture=architecture, n_threads=1, **options)
    return Learner(config, parameters(architecture))


@pytest.fixture(scope="module")
def shared():
    """One learner compiles its functions for all tests, at a minibatch of 4."""
    made = learner()
    return made, made.get_state()


@pytest.fixture
def fresh(shared):
    made, state = shared
    made.set_state(state)
    return made


def results(architecture, optimizers, engine):
    """Outputs, statistics, gradients, and parameters after a step of each optimizer."""
    learners = {
        optimizer: learner(architecture, optimizer=optimizer, engine=engine)
        for optimizer in optimizers
    }
    one = learners[optimizers[0]]
    statistics, gradients = one.gradients(batch())
    outputs = one.act(batch()["observations"])
    for made in learners.values():
        made.update(batch(), 1e-3)
    steps = {name: made.get_parameters() for name, made in learners.items()}
    return outputs, statistics, gradients, steps


ON_JAX = """
import pickle, sys
from tests.training.test_learner import results
found = results(sys.argv[2], sys.argv[3:], "jax")
with open(sys.argv[1], "wb") as file:
    pickle.dump(found, file)
"""


@pytest.mark.parametrize(
    ("architecture", "optimizers"),
    [
        ("clear", sorted({"adam", OPTIMIZER})),
        pytest.param("impala", ["adam"], marks=pytest.mark.slow),
        pytest.param("impala_torch", ["adam"], marks=pytest.mark.slow),
        pytest.param("nature", ["adam"], marks=pytest.mark.slow),
    ],
)
def test_backends_agree(architecture, optimizers, tmp_path):
    pytest.importorskip("jax", reason="an optional extra")
    path = tmp_path / "results"
    # Keras has one backend in a process.
    done = run_python("-c", ON_JAX, path, architecture, *optimizers)
    assert done.returncode == 0, done.stderr
    theirs = pickle.loads(path.read_bytes())
    ours = results(architecture, optimizers, "tensorflow")
    for a, b in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for name, value in ours[1].items():
        assert theirs[1][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    for name, gradient in ours[2].items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(
            theirs[2][name], gradient, rtol=1e-3, atol=1e-4 * scale, err_msg=name
        )
    for optimizer, (name, start) in itertools.product(
        optimizers, parameters(architecture).items()
    ):
        # Adam divides by the gradient's size, so its smallest entries are noisy.
        changes = [after[3][optimizer][name] - start for after in (ours, theirs)]
        gap = np.abs(changes[0] - changes[1])
        largest = 1e-2 * np.mean(np.abs(changes[0])) + 1e-9
        assert np.mean(gap) < largest, (optimizer, name)


def test_gradients_then_apply_is_an_update(fresh):
    start = fresh.get_state()
    _, gradients = fresh.gradients(batch())
    fresh.apply_gradients(gradients, 1e-3)
    applied = fresh.get_parameters()
    fresh.set_state(start)
    fresh.update(batch(), 1e-3)
    for key, value in fresh.get_parameters().items():
        np.testing.assert_allclose(value, applied[key], rtol=1e-5, atol=1e-7)


def test_state_is_all_that_further_updates_depend_on(fresh):
    fresh.update(batch(), 1e-3)
    state = fresh.get_state()
    fresh.update(batch(), 1e-3)
    later = fresh.get_state()
    fresh.set_state(state)
    fresh.update(batch(), 1e-3)
    for key in ("parameters", "average", "optimizer"):
        for name, value in fresh.get_state()[key].items():
            np.testing.assert_allclose(value, later[key][name], rtol=1e-5, atol=1e-7)


def test_the_average_follows_the_parameters():
    made = learner(averaged_updates=1000)
    plain = learner()
    averages, steps = [], []
    for _ in range(3):
        made.update(batch(), 1e-3)
        plain.update(batch(), 1e-3)
        steps.append(made.get_parameters()["ppo2_model/pi/b:0"])
        averages.append(made.get_parameters(averaged=True)["ppo2_model/pi/b:0"])
    expected = steps[0]
    for k in (2, 3):
        expected = expected + 10 / (k + 9) * (steps[k - 1] - expected)
    np.testing.assert_allclose(averages[0], steps[0], rtol=1e-6)
    np.testing.assert_allclose(averages[-1], expected, rtol=1e-5)
    for name, value in plain.get_parameters().items():
        average = plain.get_parameters(averaged=True)[name]
        np.testing.assert_allclose(average, value, rtol=1e-6, atol=1e-9)


def test_ppo_loss_by_hand():
    _import_keras()
    from lucid_rl.training.losses import ppo_loss

    # Two actions with equal probability; the first transition's was 0.25 before.
    transitions = {
        "actions": np.array([0, 1], np.int32),
        "log_probabilities": np.log([0.25, 0.5]).astype(np.float32),
        "values": np.array([0.0, 1.0], np.float32),
        "returns": np.array([1.0, 1.0], np.float32),
        "advantages": np.array([1.0, -1.0], np.float32),
    }
    config = TrainConfig(clip_range=0.2, value_coefficient=0.5)
    values = np.array([0.5, 1.0], np.float32)
    total, statistics = ppo_loss(
        np.zeros((2, 2), np.float32), values, transitions, config
    )
    # Ratios 2 and 1; a gain is clipped at 1.2, a loss is not.
    assert float(statistics["policy_loss"]) == pytest.approx((-1.2 + 1.0) / 2)
    assert float(statistics["clip_fraction"]) == pytest.approx(0.5)
    # The first value moved by 0.5 but counts as moved by 0.2: error 0.8 squared.
    assert float(statistics["value_loss"]) == pytest.approx(0.5 * 0.8**2 / 2)
    assert float(statistics["entropy"]) == pytest.approx(np.log(2))
    approximate_kl = (2 - 1 - np.log(2)) / 2
    assert float(statistics["approximate_kl"]) == pytest.approx(approximate_kl)
    assert float(total) == pytest.approx(-0.1 + 0.5 * 0.16 - 0.01 * np.log(2))


def test_distillation_loss_by_hand():
    _import_keras()
    from lucid_rl.training.losses import distillation_loss, loss

    labels = {
        "teacher_logits": np.log([[0.25, 0.75]]).astype(np.float32),
        "teacher_values": np.array([3.0], np.float32),
    }
    config = TrainConfig(value_coefficient=0.5)
    logits, values = np.zeros((1, 2), np.float32), np.array([1.0], np.float32)
    total, statistics = distillation_loss(logits, values, labels, config)
    kl = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert float(statistics["teacher_kl"]) == pytest.approx(kl, rel=1e-5)
    assert float(statistics["teacher_value_loss"]) == pytest.approx(2)
    assert float(total) == pytest.approx(kl + 0.5 * 2, rel=1e-5)
    # The teacher's own outputs cost nothing.
    same, _ = distillation_loss(
        labels["teacher_logits"], labels["teacher_values"], labels, config
    )
    assert float(same) == pytest.approx(0, abs=1e-6)
    weighted, _ = loss(logits, values, labels | {"teacher_weight": 0.5}, config)
    assert float(weighted) == pytest.approx(float(total) / 2, rel=1e-5)


def _import_keras():
    learner()


def test_gradients_are_clipped_to_the_largest_norm(fresh):
    # Adam's first step hides the scale; its first moment shows it.
    big = {name: np.full_like(p, 10.0) for name, p in parameters().items()}
    fresh.apply_gradients(big, 1e-3)
    moments = fresh.get_state()["optimizer"]
    mean = np.concatenate(
        [m.ravel() for name, m in moments.items() if name.endswith("momentum")]
    )
    limit = TrainConfig().max_gradient_norm
    assert np.linalg.norm(mean) == pytest.approx(0.1 * limit, rel=1e-3)


def test_muon_changes_kernels_by_orthogonal_matrices():
    pytest.importorskip("keras", minversion="3.13")
    made = learner(optimizer="muon")
    start = made.get_parameters()["ppo2_model/pi/dense/kernel:0"]
    made.update(batch(), 1e-3)
    change = made.get_parameters()["ppo2_model/pi/dense/kernel:0"] - start
    # Four frames' gradient has four directions; Muon makes them about equally large.
    sizes = np.linalg.svd(change, compute_uv=False)[:5]
    assert sizes[0] < 4 * sizes[3] and sizes[4] < 1e-3 * sizes[3]


def test_adversarial_noise_raises_the_loss():
    clean, attacked = (
        learner(noise=NoiseSettings(adversarial_epsilon=epsilon))
        for epsilon in (0.0, 0.05)
    )
    data = batch()
    data["advantages"] = np.ones(4, np.float32)

    def loss(e):
        s = e.gradients(data)[0]
        ppo = s["policy_loss"] + 0.5 * s["value_loss"] - 0.01 * s["entropy"]
        return ppo + 0.5 * (s["teacher_kl"] + 0.5 * s["teacher_value_loss"])

    assert loss(attacked) > loss(clean) + 1e-3
    # Acting sees the game as it is.
    np.testing.assert_array_equal(
        clean.act(data["observations"])[0], attacked.act(data["observations"])[0]
    )


def test_bfloat16_keeps_parameters_in_float32_and_outputs_close(fresh):
    rounded = learner(bfloat16=True)
    observations = batch()["observations"]
    for a, b in zip(fresh.act(observations), rounded.act(observations), strict=True):
        np.testing.assert_allclose(a, b, atol=0.02 * max(1, np.abs(a).max()))
        assert not np.array_equal(a, b)
    dtypes = {p.dtype for p in rounded.get_parameters().values()}
    assert dtypes == {np.dtype(np.float32)}


def test_acting_agrees_with_the_graph_model():
    from lucid_rl.checkpoints.checkpoint import Checkpoint
    from lucid_rl.model.loading import load

    for architecture in ARCHITECTURES:
        checkpoint = Checkpoint(parameters(architecture), {"cnn": architecture})
        observations = batch(3)["observations"]
        expected = load(checkpoint)(observations)
        found = learner(architecture).act(observations)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_process_has_one_backend(fresh):
    with pytest.raises(SettingsError, match="train in a process of its own"):
        learner(engine="jax")


def test_unknown_engine_is_refused():
    with pytest.raises(SettingsError, match="expected one of tensorflow, jax"):
        learner(engine="torch")
