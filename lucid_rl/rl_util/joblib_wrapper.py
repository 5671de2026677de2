"""The module `lucid.scratch.rl_util.joblib_wrapper` by its name."""

from lucid_rl.rl_util.jd_files import load_joblib, save_joblib

__all__ = ["load_joblib", "save_joblib"]
