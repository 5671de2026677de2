"""The objectives of PPO and of policy distillation, to be minimized."""

from collections.abc import Mapping
from typing import Any

from keras import ops

from lucid_rl.training.config import TrainConfig

Tensor = Any


def loss(
    logits: Tensor,
    values: Tensor,
    batch: Mapping[str, Tensor],
    config: TrainConfig,
) -> tuple[Tensor, dict[str, Tensor]]:
    """PPO's loss, distillation's, or their sum, as the batch has them.

    Args:
        logits: f32 [M, A], the policy's now.
        values: f32 [M], the value function's now.
        batch: PPO's transitions where it has "actions", a teacher's outputs where it
            has "teacher_logits"; see `ppo_loss` and `distillation_loss`.
            "teacher_weight", a scalar, weights the second (1 where it is absent).
        config: of the run.

    Returns:
        The scalar loss, and scalars by name for the log.
    """
    total: Any = 0.0
    statistics: dict[str, Any] = {}
    if "actions" in batch:
        total, statistics = ppo_loss(logits, values, batch, config)
    if "teacher_logits" in batch:
        distillation, more = distillation_loss(logits, values, batch, config)
        total = total + batch.get("teacher_weight", 1.0) * distillation
        statistics |= more
    return total, statistics


def ppo_loss(
    logits: Tensor, values: Tensor, batch: Mapping[str, Tensor], config: TrainConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped objective of Schulman et al. (2017); see `loss`.

    `batch` has "actions" int32, "log_probabilities", "values", "returns" and
    "advantages" f32, each [M], from when the actions were chosen.
    """
    log_policy = ops.log_softmax(logits)
    chosen = ops.take_along_axis(log_policy, batch["actions"][:, None], axis=1)[:, 0]
    log_ratio = chosen - batch["log_probabilities"]
    ratio = ops.exp(log_ratio)
    clip = config.clip_range
    advantages = batch["advantages"]
    clipped = ops.clip(ratio, 1 - clip, 1 + clip)
    policy_loss = ops.mean(ops.maximum(-advantages * ratio, -advantages * clipped))
    entropy = -ops.mean(ops.sum(ops.exp(log_policy) * log_policy, axis=1))
    errors = ops.square(values - batch["returns"])
    if config.clip_value:
        old = batch["values"]
        near = old + ops.clip(values - old, -clip, clip)
        errors = ops.maximum(errors, ops.square(near - batch["returns"]))
    value_loss = 0.5 * ops.mean(errors)
    total = (
        policy_loss
        + config.value_coefficient * value_loss
        - config.entropy_coefficient * entropy
    )
    return total, {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        # The estimator of Schulman's "Approximating KL divergence" (2020).
        "approximate_kl": ops.mean(ratio - 1 - log_ratio),
        "clip_fraction": ops.mean(ops.cast(ops.abs(ratio - 1) > clip, "float32")),
    }


def distillation_loss(
    logits: Tensor, values: Tensor, batch: Mapping[str, Tensor], config: TrainConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """KL(teacher || student) of the policies, and the squared error of the value.

    Policy distillation (Rusu et al., 2016) with the teacher's soft labels:
    "teacher_logits" f32 [M, A] and "teacher_values" f32 [M] of the batch. See `loss`.
    """
    log_teacher = ops.log_softmax(batch["teacher_logits"])
    differences = log_teacher - ops.log_softmax(logits)
    kl = ops.mean(ops.sum(ops.exp(log_teacher) * differences, axis=1))
    error = 0.5 * ops.mean(ops.square(values - batch["teacher_values"]))
    return kl + config.value_coefficient * error, {
        "teacher_kl": kl,
        "teacher_value_loss": error,
    }
