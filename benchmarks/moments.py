"""Two failures of docs/moments.md: how often the agent fails with one thing changed.

    python -m benchmarks.moments

The episodes are of `bundled:distilled` after 62,000 updates. Each is played up to a
step, from which today's model plays on with and without the change. Writes
benchmarks/results/moments.json and docs/images/failures.png.
"""

import dataclasses
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.special import softmax

import lucid_rl as lr
from benchmarks.measuring import ROOT, write_result
from lucid_rl.editing.paired_observations import without_object
from lucid_rl.evaluation.episodes import FAILED, Episode
from lucid_rl.evaluation.play import own_levels, play
from lucid_rl.evaluation.replay import replay_frames
from lucid_rl.evaluation.what_if import situation
from lucid_rl.games.procgen_state import parse_state
from lucid_rl.games.registry import game_settings, make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.sampling.actions import Policy
from lucid_rl.statistics import Proportion, compare

_MODEL = "bundled:distilled"
_N_SAMPLES = 64
_DOWN, _RIGHT = (0, 3, 6), (6, 7, 8)  # actions
_FRAME, _GAP = 192, 4  # pixels of the figure


@dataclasses.dataclass(frozen=True)
class Failure:
    """A failed episode, and what is changed in it.

    Attributes:
        level_seed: the level.
        actions: all that were taken, a hexadecimal digit each.
        step: from which agents play on.
        shown: steps in the figure.
        unseen: object class that is transparent from that step on; None: the agent
            never presses down instead.
    """

    level_seed: int
    actions: str
    step: int
    shown: tuple[int, ...]
    unseen: str | None = None

    def taken(self, n: int | None = None) -> list[int]:
        """The first n actions; all of them by default."""
        return [int(digit, 16) for digit in self.actions[:n]]


FAILURES = {
    "E": Failure(
        444633954,
        "66776d8b455e6653608a77768cc7063a2e85e0e6865eec3887bbb668a779a679c7eeab6e"
        "8866721568628763",
        step=72,
        shown=(70, 72, 75, 83, 87),
        unseen="enemy_left",
    ),
    "F": Failure(
        958669829,
        "777a76778e54746dae8163a89783b66658a6d76716766678022c9dbd3d3b35b776bd7686"
        "66b1a7b11ece67998066356eb75aa6667986b78686d6581121666",
        step=122,
        shown=(116, 120, 122, 123, 124),
    ),
}


def frames(
    failure: Failure, game: GameSettings, full_resolution: bool = False
) -> list[np.ndarray]:
    """The episode's frames, u8 [H, W, 3], one before each action."""
    actions = np.array(failure.taken(), np.uint8)
    episode = Episode(0, failure.level_seed, actions, 0.0, FAILED)
    return list(replay_frames(episode, game, full_resolution))


def never_down(model: lr.Model) -> Policy:
    """The model's policy without the actions that press down."""

    def policy(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, values = model(observations)
        logits[:, _DOWN] = -np.inf
        return logits, values

    return policy


def failed(policy: Policy, state: bytes, game: GameSettings) -> Proportion:
    """Fraction of the samples that fail from a state on."""
    with make_game(game.replace(n_envs=_N_SAMPLES, n_levels=0)) as played:
        played.set_states([state] * _N_SAMPLES)
        plan = own_levels(range(_N_SAMPLES), _N_SAMPLES)
        return Proportion.of(
            not episode.completed for episode in play(played, policy, plan, seed=0)
        )


def measure(model: lr.Model, failure: Failure, game: GameSettings) -> dict[str, Any]:
    """Values at the end of the episode, and failures with and without the change."""
    logits, values = model(np.array(frames(failure, game)))
    probabilities = softmax(logits, axis=-1)
    taken = failure.taken(failure.step)
    found = situation(game, failure.level_seed, taken)
    policy: Policy = model
    state = found.state
    if failure.unseen:
        state = without_object(parse_state(state), failure.unseen).to_bytes()
    else:
        policy = never_down(model)
    original = failed(model, found.state, game)
    changed = failed(policy, state, game)
    difference = compare(changed, original)
    change = f"{failure.unseen} transparent" if failure.unseen else "never down"
    print(f"from step {failure.step}: {original}; {change}: {changed}", difference)
    first = failure.step - 2
    return {
        "level_seed": failure.level_seed,
        "step": failure.step,
        "change": change,
        "failed": original.as_dict(),
        "failed_with_change": changed.as_dict(),
        "difference": difference.as_dict(),
        "first_step": first,
        "values": values[first:].round(3).tolist(),
        "right": probabilities[first:, _RIGHT].sum(axis=-1).round(3).tolist(),
        "down": probabilities[first:, _DOWN].sum(axis=-1).round(3).tolist(),
    }


def draw(game: GameSettings) -> None:
    """Draws the shown frames of each failure, a row each."""
    columns = max(len(failure.shown) for failure in FAILURES.values())
    side = _FRAME + _GAP
    sheet = Image.new("RGB", (columns * side, len(FAILURES) * side), "white")
    for row, (name, failure) in enumerate(FAILURES.items()):
        large = frames(failure, game, full_resolution=True)
        for column, step in enumerate(failure.shown):
            picture = Image.fromarray(large[step])
            picture = picture.resize((_FRAME, _FRAME), Image.Resampling.LANCZOS)
            ImageDraw.Draw(picture).text(
                (4, 2),
                f"{name}, step {step}",
                fill="white",
                stroke_width=1,
                stroke_fill="black",
            )
            sheet.paste(picture, (column * side, row * side))
    sheet.save(ROOT / "docs" / "images" / "failures.png", optimize=True)


def main() -> None:
    """Measures and draws."""
    model = lr.load(_MODEL)
    game = game_settings(model.args, model.n_actions, model.image_shape)
    draw(game)
    found = {name: measure(model, one, game) for name, one in FAILURES.items()}
    write_result("moments", {"model": _MODEL, "failures": found})


if __name__ == "__main__":
    main()
