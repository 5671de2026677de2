"""Views of moments: clips on a page, and a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lucid_rl.evaluation.episodes import Episode
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.explanations import Explanation
from lucid_rl.evaluation.moments import FAILURE, KINDS
from lucid_rl.evaluation.replay import Replay
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface.samples import Clips, Samples
from lucid_rl.reports import markdown_table
from lucid_rl.sampling.trajectories import Trajectories

# Features listed for each moment in the table.
_N_LISTED = 3
_HEADER = (
    *("episode", "level", "what", "step", "value", "compared with step"),
    *("value there", "features whose attribution changed most"),
)


def clips_of(
    replays: Mapping[int, Replay],
    explanations: Sequence[Explanation],
    observations: np.ndarray,
    game: GameSettings,
    n_frames: int,
) -> Samples:
    """Cuts each episode to start some frames before its first moment, for the page.

    `replays` are the episodes with moments, by index, in the page's order;
    `observations`, u8 [N, H, W, 3], are for features and their examples.
    """
    by_episode: dict[int, list[Explanation]] = {index: [] for index in replays}
    for explanation in explanations:
        by_episode[explanation.moment.episode].append(explanation)
    starts = {
        index: max(0, min(e.moment.step for e in found) - n_frames)
        for index, found in by_episode.items()
    }
    entries = [
        _entry(replay.episode, starts[index], by_episode[index])
        for index, replay in replays.items()
    ]
    order = list(replays)
    moments = [
        {
            "trajectory": order.index(explanation.moment.episode),
            "frame": explanation.moment.step - starts[explanation.moment.episode],
            "kind": explanation.moment.kind,
            "score": explanation.moment.score,
            "text": _label(explanation, replays[explanation.moment.episode].episode),
        }
        for explanation in explanations
    ]
    with make_game(game.replace(n_envs=1, n_levels=0, start_level=0)) as made:
        combos = [list(keys) for keys in made.action_combos]
    cut = [(replay, starts[index]) for index, replay in replays.items()]
    trajectories = Trajectories(
        _row(replay.observations[start:] for replay, start in cut),
        _row(replay.episode.actions[start:].astype(np.int64) for replay, start in cut),
        _row(replay.rewards[start:] for replay, start in cut),
        _row(np.eye(1, entry["length"], dtype=bool)[0] for entry in entries),
        # Each clip ends with its episode: what follows has no effect.
        last_observations=observations[:1],
        last_firsts=np.ones(1, bool),
    )
    return Samples(
        observations,
        trajectories,
        None,
        game.as_dict(),
        combos,
        ("Moments found in episodes that were played before.",),
        Clips(entries, moments),
    )


def moments_table(
    explanations: Sequence[Explanation],
    evaluation: Evaluation,
    layer: str,
    names: Mapping[int, str],
) -> str:
    """Markdown: a table of the moments of each kind.

    `names` are names of the layer's features, by number from 0.
    """
    model = evaluation.header["model"]["name"]
    levels = {episode.index: episode.level_seed for episode in evaluation.episodes}
    lines = [
        f"# Moments of {model}",
        "",
        f"Features of layer {layer}, numbered as on the page, from 1. A feature comes "
        "with the change of its attribution between the two frames and, in brackets, "
        "with a counterfactual: the values of both frames by the model with the "
        "feature edited out.",
        "",
    ]
    for kind, heading in KINDS.items():
        lines += [f"## {heading}", ""]
        rows = [
            _row_of_table(explanation, levels, names)
            for explanation in explanations
            if explanation.moment.kind == kind
        ]
        table = markdown_table(_HEADER, rows) if rows else "None found."
        lines += [table, ""]
    return "\n".join(lines)


def _row_of_table(
    explanation: Explanation, levels: Mapping[int, int], names: Mapping[int, str]
) -> tuple[object, ...]:
    moment = explanation.moment
    features = "; ".join(
        f"{feature.feature + 1} {names.get(feature.feature, '')}".strip()
        + f" {feature.change:+.2f} ({feature.value_without:.2f}, "
        f"{feature.reference_value_without:.2f})"
        for feature in explanation.features[:_N_LISTED]
    )
    # A failure's text repeats its value, which has a column here.
    text = moment.text.split(", value")[0] if moment.kind == FAILURE else moment.text
    return (
        *(moment.episode, levels[moment.episode], text),
        *(moment.step, f"{explanation.value:.2f}"),
        *(moment.reference, f"{explanation.reference_value:.2f}", features),
    )


def _entry(
    episode: Episode, start: int, found: Iterable[Explanation]
) -> dict[str, Any]:
    """A clip in the manifest."""
    length = len(episode.actions) - start
    kinds = dict.fromkeys(e.moment.kind.replace("_", " ") for e in found)
    outcome = episode.outcome.replace("_", " ")
    whole = {
        "start": 0,
        "end": length,
        "level_seed": episode.level_seed,
        "success": episode.completed,
    }
    return {
        "length": length,
        "episodes": [whole],
        "actions_before": episode.actions[:start].tolist(),
        "title": f"Level {episode.level_seed}, {outcome}: {', '.join(kinds)}",
    }


def _label(explanation: Explanation, episode: Episode) -> str:
    """Label of a moment on the page, which numbers features from 1."""
    most = explanation.features[0]
    return (
        f"{explanation.moment.text}, level {episode.level_seed}; feature "
        f"{most.feature + 1}: {most.change:+.2f}, value without it "
        f"{most.value_without:.2f}"
    )


def _row(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(arrays))[None]
