"""What objects show of themselves in notebooks."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from lucid_rl import notebook
from lucid_rl.errors import InputError
from lucid_rl.evaluation.episodes import Episode
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.interpret.attribution import attribute, logit, value
from lucid_rl.interpret.visualization.visualize import Visualization
from lucid_rl.sampling.observations import Observations
from lucid_rl.sampling.trajectories import Trajectories


def images(html):
    """The pictures within HTML, decoded."""
    found = re.findall(r'src="data:image/(?:png|webp);base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


@pytest.fixture
def trajectories():
    n, n_steps = 2, 30
    rng = np.random.default_rng(0)
    firsts = np.zeros((n, n_steps), bool)
    firsts[:, 0] = firsts[0, 10] = True
    rewards = np.zeros((n, n_steps), np.float32)
    rewards[0, 9] = 10
    return Trajectories(
        rng.integers(256, size=(n, n_steps, 64, 64, 3), dtype=np.uint8),
        np.zeros((n, n_steps), np.int64),
        rewards,
        firsts,
        last_firsts=np.array([False, True]),
        states=[[b"state" * 1000] * n_steps] * n,
    )


def test_a_picture_keeps_its_pixels_and_its_text_is_escaped():
    pixels = np.array([[[0, 0.5, 1], [2, -1, 0]]])
    html = notebook.picture(pixels, "<b>\nsecond", width=99)
    (image,) = images(html)
    np.testing.assert_array_equal(np.asarray(image), [[[0, 128, 255], [255, 0, 0]]])
    assert "&lt;b&gt;<br>second" in html and 'width="99"' in html
    with pytest.raises(InputError, match="shape"):
        notebook.picture(np.zeros((2, 2, 5)))


def test_a_table_holds_text_and_pictures():
    html = notebook.table(["<"], [["a & b"], [notebook.picture(np.zeros((1, 1)))]])
    assert "<th>&lt;</th>" in html and "<td>a &amp; b</td>" in html
    assert "<td><figure" in html


def test_trajectories_show_frames_and_say_what_happened(trajectories):
    html = trajectories._repr_html_()
    strips = images(html)
    assert [strip.size for strip in strips] == [(12 * 64, 64)] * 2
    seen = np.asarray(strips[0])
    np.testing.assert_array_equal(seen[:, :64], trajectories.observations[0, 0])
    np.testing.assert_array_equal(seen[:, -64:], trajectories.observations[0, 29])
    # Each has one end: the first after step 9, with a reward, the second at the end.
    for i, rewards in ((0, 1), (1, 0)):
        assert f"<td>{i}</td><td>1</td><td>{rewards}</td>" in html
    text = repr(trajectories)
    assert "observations=uint8[2, 30, 64, 64, 3]" in text and len(text) < 1000


def test_a_film_plays_every_frame(trajectories):
    film = trajectories.film(1, 5, 9)
    (image,) = images(film._repr_html_())
    assert image.n_frames == 4 and image.size == (64, 64)
    larger = dataclasses.replace(
        trajectories, frames=np.zeros((2, 30, 128, 128, 3), np.uint8)
    )
    (image,) = images(larger.film(0, stop=1)._repr_html_())
    assert image.size == (128, 128)
    with pytest.raises(InputError, match="at least one"):
        trajectories.film(0, 30)


def test_attributions_show_where_they_are_and_their_error(model_a, golden):
    observations = golden["obs_u8"][:2]
    found = attribute(model_a, observations, "2b", [value(), logit(3)])
    html = found._repr_html_()
    assert len(images(html)) == 4
    assert "of value" in html and "of logit_3" in html
    assert (
        f"total {found.totals[1, 1]:+.3f}, gap {found.completeness_gap[1, 1]:+.1e}"
        in html
    )
    # Blue where attribution is positive, orange where it is negative.
    positions = found.values[0, 0].sum(axis=-1)
    picture = np.asarray(images(html)[0]).astype(int)
    row, column = np.unravel_index(np.abs(positions).argmax(), positions.shape)
    red, _, blue = picture[row, column]
    assert (blue > red) == (positions[row, column] > 0)
    assert len(repr(found)) < 1000


def test_visualizations_show_what_they_reached():
    images_ = np.zeros((2, 4, 4, 3), np.float32)
    found = Visualization(images_, np.zeros((1, 2)), np.array([3.0, 4.0]), None, None)
    html = found._repr_html_()
    assert len(images(html)) == 2 and "reached 4" in html
    more = dataclasses.replace(found, dataset_maxima=np.array([1.5, 2.5]))
    assert "observations 2.5" in more._repr_html_()


def test_observations_show_the_first_ones():
    seen = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)
    found = Observations(seen)
    shown = images(found._repr_html_())
    assert len(shown) == 8
    np.testing.assert_array_equal(np.asarray(shown[7]), seen[7])
    assert "observations=uint8[20, 64, 64, 3]" in repr(found)
    np.testing.assert_array_equal(np.asarray(found), seen)


def test_evaluations_show_their_table_and_no_episodes():
    actions = np.zeros(500, np.uint8)
    episodes = [Episode(i, i, actions, 10.0 * (i < 3), "buzzsaw") for i in range(4)]
    header = {"model": {"name": "<agent>"}, "settings": {"game": {"name": "maze"}}}
    found = Evaluation(header, episodes)
    assert repr(found) == "Evaluation('<agent>', 4 episodes)"
    assert "mean return  7.5" in found._repr_html_()
    assert "actions=uint8[500]" in repr(episodes[0])
