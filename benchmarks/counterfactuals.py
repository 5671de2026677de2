"""Examples A to D of docs/moments.md: values, and failures with an object unseen.

    python -m benchmarks.counterfactuals

The released model plays the levels of `lucid-rl find-moments --n_episodes=300`; from
steps of chosen episodes it plays on, and so does an edited copy that does not see an
object. Writes benchmarks/results/counterfactuals.json.
"""

import numpy as np

import lucid_rl as lr
from benchmarks.measuring import write_result
from lucid_rl.evaluation.what_if import changed_agent

MODEL, N_EPISODES = "released:procgen/coinrun", 300
# Number of the episode, what is not seen, and from which steps agents play on.
EXAMPLES = {
    "A": (44, "buzzsaw", (36,)),
    "B": (212, "enemy_left", (45, 53, 57)),
    "C": (105, "enemy_left", (88,)),
    "D": (43, "enemy_left", ()),
}


def main() -> None:
    """Measures and reports."""
    model = lr.load(MODEL)
    evaluation = lr.evaluate(model, N_EPISODES)
    blind = {name: changed_agent(model, name) for name in ("buzzsaw", "enemy_left")}
    found = {}
    for example, (number, unseen, steps) in EXAMPLES.items():
        episode = evaluation.episodes[number]
        values = model(np.stack(list(evaluation.replay(number))))[1]
        found[example] = {
            "level_seed": episode.level_seed,
            "unseen": unseen,
            "values": [round(value, 1) for value in values.tolist()],
            "from_step": {
                step: lr.what_if(
                    model, blind[unseen], episode.level_seed, episode.actions[:step]
                ).as_dict()
                for step in steps
            },
        }
    print(write_result("counterfactuals", {"model": MODEL, "examples": found}))


if __name__ == "__main__":
    main()
