"""How complete the attributions are that the article's page publishes."""

import os
import pathlib

import numpy as np
import pytest

_FOLDER = pathlib.Path(
    os.environ.get(
        "LUCID_RL_ARTICLE_DATA",
        pathlib.Path(__file__).parents[3] / "shared" / "article_data",
    )
)
_FILE = _FOLDER / "interfaces.npz"

pytestmark = pytest.mark.skipif(
    not _FILE.is_file(), reason="the article's data are not here: LUCID_RL_ARTICLE_DATA"
)


@pytest.mark.parametrize(
    ("interface", "spread", "share"),
    [("header", 0.187, 0.145), ("100_levels", 1.286, 0.229)],
)
def test_figures_that_docs_attribution_quotes(interface, spread, share):
    with np.load(_FILE) as data:
        totals = data[f"{interface}/attribution_totals"]
        residuals = data[f"{interface}/attribution_residuals"]
        values = data[f"{interface}/values"]
    # Complete attributions would leave a constant, F(0).
    left = values - totals.sum(axis=1) - residuals
    assert left.std() == pytest.approx(spread, abs=1e-3)
    found = np.abs(residuals).sum() / (np.abs(residuals).sum() + np.abs(totals).sum())
    assert found == pytest.approx(share, abs=1e-3)
