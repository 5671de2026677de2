"""Makes `released_kind.jd`: a small checkpoint as the article's trainer saved them.

    python tests/data/jd_files/make_released_kind.py

65 settings, most of them None, and a `defaultdict(float)` of numpy scalars in `extra`.
"""

import collections
import pathlib

import joblib
import numpy as np

_NONE = (
    *("use_easy_jump", "eval_id", "plain_assets", "center_agent", "start_level"),
    *("use_generated_assets", "fixed_difficulty", "num_levels", "game_mechanics"),
    *("filename", "is_uniform_difficulty", "fix_background", "is_high_difficulty"),
    *("game", "restore_step", "paint_vel_info", "sample_game_mechanics", "debug_mode"),
    *("use_sequential_levels", "physics_mode", "benchmark_name", "restore_run_id"),
    *("game_type", "distribution_mode", "test_env_name"),
)
_ARGS = {
    "is_enjoy": False, "ksync": False, "ppo_epochs": 3, "high_res": 1, "emb_size": 256,
    "logpath": "", "clip_vf": 1, "use_lstm": 0, "timesteps_per_proc": 1000000000,
    "lambda": 0.95, "restore_heads": 1, "cnn": "clear", "sweep": False,
    "clip_range": 0.2, "discrete_actions": False, "frame_stack": 1,
    "eval_rollouts_per_env": 30, "num_steps": 256, "learning_rate": 0.0005,
    "reward_scale": 1.0, "watch_movie": False, "entropy_coeff": 0.01,
    "enjoy_mode": "view", "num_minibatches": 8, "stack_channels": "16_32_32",
    "num_envs": 64, "restore_rank": 0, "num_eval_ids": 1, "use_sticky_actions": 0,
    "gamma": 0.999, "env_kind": "procgen", "reward_processing": "none",
    "env_name": "coinrun", "save_all": False, "epsilon_greedy": 0,
    "library": "baselines", "env_id": "Pong", "num_train": 10000, "save_interval": 10,
    "no_monitors": False,
}  # fmt: skip


def main():
    rng = np.random.default_rng(0)
    shapes = {}
    for layer, size, n_in in zip(
        ("1a", "2a", "2b", "3a", "4a"), (7, 5, 5, 5, 5), (3, 2, 2, 2, 2), strict=True
    ):
        shapes[f"pi/{layer}/conv2d/kernel"] = (size, size, n_in, 2)
        shapes[f"pi/{layer}/conv2d/bias"] = (2,)
    shapes |= {"pi/dense/kernel": (32, 4), "pi/dense/bias": (4,)}
    shapes |= {"pi/dense_1/kernel": (4, 4), "pi/dense_1/bias": (4,)}
    shapes |= {"pi/w": (4, 15), "pi/b": (15,), "vf/w": (4, 1), "vf/b": (1,)}
    params = {
        f"ppo2_model/{name}:0": rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    extra = collections.defaultdict(float)
    extra["is_test_worker"] = 0
    for name in ("_rewmean_", "game_coinrun/mean", "game_all/mean"):
        extra[name] = np.float32(9.9)
    args = {**dict.fromkeys(_NONE), **_ARGS}
    assert len(args) == 65
    value = {"args": args, "params": params, "extra": extra, "time": 1575870951.5}
    joblib.dump(value, pathlib.Path(__file__).parent / "released_kind.jd", protocol=3)


if __name__ == "__main__":
    main()
