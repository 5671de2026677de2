"""From a model to its features, an edit, failures by cause, and a page.

    python examples/first_steps.py                      # the bundled model
    python examples/first_steps.py path/to/agent.jd 500

Takes some minutes. The folder `first_steps/` then holds the edited model and the page.
"""

import pathlib
import sys

import numpy as np

import lucid_rl as lr


def main(
    spec: str = "bundled", n_episodes: str = "200", n_observations: str = "512"
) -> None:
    """Analyses a model of CoinRun, and blinds it to buzzsaws."""
    folder = pathlib.Path("first_steps")
    model = lr.load(spec)
    print(model)

    # Which features of layer 2b does the value function depend on?
    observations = lr.sample_observations(model, int(n_observations)).observations
    attribution = lr.attribute(model, observations, "2b", lr.value(), n_steps=4)
    print("largest completeness gap:", abs(attribution.completeness_gap).max())
    nmf = lr.NMF(n_features=8).fit(attribution)
    print("fraction of each feature:", nmf.feature_fractions)

    # Which directions detect buzzsaws, and which feature is nearest to them?
    buzzsaw = lr.object_directions(model, "buzzsaw", "2b")
    print(buzzsaw)
    units = nmf.directions / np.linalg.norm(nmf.directions, axis=1, keepdims=True)
    cosines = np.linalg.norm(units @ buzzsaw.directions.T, axis=1)
    print(f"nearest: feature {cosines.argmax() + 1}, cosine {cosines.max():.2f}")

    # What does the agent do without them?
    blind = model.without(buzzsaw.directions, "2b")
    blind.save(folder / "blind.jd")
    before, after = (lr.evaluate(m, int(n_episodes)) for m in (model, blind))
    print(after.compare(before))

    settings = lr.InterfaceSettings().quick()
    page = lr.make_page(
        model, folder / "page", compare_to=blind, nmf=nmf, settings=settings
    )
    print(page)


if __name__ == "__main__":
    main(*sys.argv[1:])
