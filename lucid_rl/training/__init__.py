"""PPO and its warm-up: settings, engines, saves."""
