"""Causes of failure of Procgen's CoinRun.

The game does not report causes. A failed episode is replayed up to its last action,
which is then tried with one kind of danger made harmless at a time. The kind without
which the episode continues is the cause. A second, independent rule uses positions:
what the agent's collision box overlaps at the end.

The classes are those of the article's table (section "Model editing"): buzzsaws,
enemies by the way they move, and what is left over, here split up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucid_rl.errors import GameError, InputError, SettingsError
from lucid_rl.evaluation.dangers import DANGERS, touching_dangers, without
from lucid_rl.evaluation.replay import play_actions
from lucid_rl.games.procgen_state import ENEMY, CoinRunState, parse_state
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings, VectorGame

# "multiple": several at once, each of which was enough.
CAUSES = (*DANGERS, "multiple")


@dataclass(frozen=True)
class FailureCause:
    """The cause of a failure.

    Attributes:
        cause: one of `CAUSES`.
        preventing: the dangers of which each, made harmless alone, would have let
            the episode continue after its last action; one for a single cause, none
            for several.
        touching: the dangers present at the end by position and clock alone; the
            cause by this second rule is its only member, or "multiple".
        n_steps: actions in the episode.
        position: where the agent would have been after the last action, x and y in
            tiles.
    """

    cause: str
    preventing: tuple[str, ...]
    touching: tuple[str, ...]
    n_steps: int
    position: tuple[float, float]

    @property
    def cause_by_position(self) -> str:
        """The cause by the second rule."""
        return _single(self.touching)


class FailureClassifier:
    """Finds the causes of failed episodes by replaying them.

    Args:
        settings: of the game the episodes were played in. What changes only the
            picture is left out, so episodes with invisible objects are fine.

    Raises:
        SettingsError: the game is not CoinRun, or has no states.
        GameError: the game cannot be made.
    """

    def __init__(self, settings: GameSettings) -> None:
        if settings.name != "coinrun" or settings.use_generated_assets:
            raise SettingsError(
                "causes of failure are known for Procgen's coinrun without generated "
                f"assets, got {settings.name!r}"
                + (" with them" if settings.use_generated_assets else "")
            )
        plain = settings.unseen(n_envs=1).replace(n_threads=0)
        self._replayer = make_game(plain)
        self._variants = make_game(plain.replace(n_envs=len(DANGERS)))

    def classify(
        self, level_seed: int, actions: Sequence[int] | np.ndarray
    ) -> FailureCause:
        """Finds the cause of a failed episode.

        Args:
            level_seed: the level.
            actions: int [T], all that were taken, the last one ending the episode.

        Raises:
            InputError: there are no actions.
            GameError: the level with these actions does not end there, or ends with
                the coin: the settings or the record are not the episode's.
        """
        actions = np.asarray(actions)
        before = self._replay(int(level_seed), actions)
        return self.classify_state(before, int(actions[-1]))

    def classify_state(self, before: CoinRunState, action: int) -> FailureCause:
        """Finds the cause of a failure from the state before its last action.

        Raises:
            GameError: nothing known explains the end, or there is no end.
        """
        safe = before
        for danger in DANGERS:
            safe = without(safe, danger)
        if _continues(self._replayer, [before], action)[0]:
            raise GameError(
                f"level {before.level_seed} continues after {before.time + 1} actions: "
                "it has not failed"
            )
        if not _continues(self._replayer, [safe], action)[0]:
            raise GameError(
                f"level {before.level_seed} ends after {before.time + 1} actions even "
                "with every known danger made harmless: the coin was taken"
            )
        after = parse_state(self._replayer.get_states()[0])
        # An enemy's direction is the sign of its speed after the step.
        moves_left = after.entities_of_type(ENEMY)["vx"] < 0
        variants = [without(before, danger, moves_left) for danger in DANGERS]
        continues = _continues(self._variants, variants, action)
        preventing = tuple(np.array(DANGERS)[continues].tolist())
        return FailureCause(
            cause=_single(preventing),
            preventing=preventing,
            touching=touching_dangers(before, after),
            n_steps=before.time + 1,
            position=(float(after.agent["x"][0]), float(after.agent["y"][0])),
        )

    def close(self) -> None:
        """Frees the games."""
        self._replayer.close()
        self._variants.close()

    def __enter__(self) -> "FailureClassifier":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _replay(self, level_seed: int, actions: np.ndarray) -> CoinRunState:
        """The state before the last action."""
        if actions.ndim != 1 or not len(actions) or actions.dtype.kind not in "iu":
            raise InputError(
                f"level {level_seed}: actions must be a list of whole numbers, got "
                f"{actions.dtype} of shape {actions.shape}"
            )
        game, n = self._replayer, len(actions)
        for step, seen in enumerate(play_actions(game, level_seed, actions)):
            ends, reward = bool(seen.firsts[0]), float(seen.rewards[0])
            if step and (ends != (step == n) or reward > 0):
                raise GameError(
                    f"level {level_seed} does not fail with the last of its {n} "
                    f"actions when played again: at action {step} "
                    f"({actions[step - 1]}) the reward is {reward} and the episode "
                    f"{'ends' if ends else 'continues'}. Give the settings that it "
                    "was played with"
                )
            if step == n - 1:
                before = game.get_states()[0]
        return parse_state(before)


def _single(dangers: tuple[str, ...]) -> str:
    return dangers[0] if len(dangers) == 1 else "multiple"


def _continues(
    game: VectorGame, states: Sequence[CoinRunState], action: int
) -> np.ndarray:
    """Takes an action in each state; bool [n], whether the episode continues."""
    game.set_states([state.to_bytes() for state in states])
    game.act(np.full(game.n_envs, action, np.int32))
    return ~game.observe().firsts
