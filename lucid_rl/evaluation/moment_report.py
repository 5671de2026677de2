"""Report of an evaluation's moments: a page, a table and a file."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lucid_rl.errors import InputError, ModelError
from lucid_rl.evaluation.episodes import Episode
from lucid_rl.evaluation.evaluation import Evaluation
from lucid_rl.evaluation.explanations import Explanation, explain
from lucid_rl.evaluation.moment_views import clips_of, moments_table
from lucid_rl.evaluation.moments import Moment, MomentSettings, ValueCurve, find_moments
from lucid_rl.evaluation.replay import Replay, replay_episodes
from lucid_rl.files import PathLike, write_json, write_text
from lucid_rl.folder_lock import folder_lock
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface import InterfaceSettings, make_interface
from lucid_rl.interface.names import Names, read_names
from lucid_rl.interface.settings import INPUT_LAYER
from lucid_rl.interpret.features import fit_features
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.validation import Natural, Positive, Settings

TABLE_FILE = "moments.md"
RESULTS_FILE = "moments.json"
PAGE_FOLDER = "page"


@dataclasses.dataclass(frozen=True)
class ReportSettings(Settings):
    """Which moments are searched for, and how they are shown.

    Attributes:
        n_episodes: episodes to look through: the evaluation's first; 0: all.
        moments: which moments.
        n_observations: observations from which features are found, spread evenly
            over those episodes.
        interface: of the page. The first of its `layers`, by default 2b, is the one
            whose features explain the moments; model and output folder are set
            here, and how trajectories are sampled has no effect.
    """

    n_episodes: Natural = 0
    moments: MomentSettings = MomentSettings()
    n_observations: Positive = 1024
    interface: InterfaceSettings = InterfaceSettings(layers=("2b",))

    @property
    def layer(self) -> str:
        """The layer whose features explain the moments."""
        return (*self.interface.layers, "2b")[0]


@dataclasses.dataclass(frozen=True)
class Report:
    """Moments with explanations, and where they were written.

    Attributes:
        explanations: of all moments, by kind.
        page: the page's index.html.
        table: Markdown.
    """

    explanations: list[Explanation]
    page: pathlib.Path
    table: str


def report_moments(
    model: str,
    evaluation: Evaluation,
    folder: PathLike,
    settings: ReportSettings | None = None,
) -> Report:
    """Finds moments in an evaluation's episodes, explains and shows them.

    Args:
        model: the model that played, as `InterfaceSettings.model`.
        evaluation: its episodes; they are played again.
        folder: where the page (in `page/`), `moments.md` and `moments.json` go.
        settings: what to look for and to show.

    Returns:
        The moments with their explanations, as they were written.

    Raises:
        InputError: there are no episodes, another model played them, or they hold no
            moment of any kind.
        GameError: the game cannot repeat episodes, or its engine has changed.
        ModelError: a layer does not exist.
        SaveError: the folder cannot be written, or another process uses it.
    """
    settings = settings or ReportSettings()
    folder = pathlib.Path(folder)
    source, names = load_for_report(model, settings)
    _check_player(source, evaluation)
    with folder_lock(folder, "the search for moments"):
        return _report(model, source, evaluation, folder, settings, names)


def _report(
    model: str,
    source: Model,
    evaluation: Evaluation,
    folder: pathlib.Path,
    settings: ReportSettings,
    names: Names,
) -> Report:
    interface = settings.interface
    episodes = evaluation.episodes[: settings.n_episodes or None]
    game = evaluation.settings.played
    replays = functools.partial(_replays, episodes, game)
    moments, observations = _search(source, episodes, replays, settings)
    # The same call as the page's own, so that its features are these.
    nmf = fit_features(
        source,
        observations,
        settings.layer,
        nmf=interface.nmf,
        attribution=interface.attribution,
        positions=interface.fit_positions,
    )
    places = {episode.index: place for place, episode in enumerate(episodes)}
    wanted = list(dict.fromkeys(places[moment.episode] for moment in moments))
    kept = {r.episode.index: r for r in replays(wanted, "episodes with moments")}
    pairs = [
        kept[moment.episode].observations[[moment.step, moment.reference]]
        for moment in moments
    ]
    explanations = explain(source, moments, np.array(pairs), nmf, interface.attribution)
    page = make_interface(
        dataclasses.replace(
            interface,
            model=model,
            layers=interface.layers or (settings.layer,),
            output_dir=folder / PAGE_FOLDER,
            title=interface.title or f"Moments of {source.name}",
        ),
        samples=clips_of(
            kept, explanations, observations, game, settings.moments.n_frames
        ),
    )
    titles = names.get(settings.layer, {})
    table = moments_table(explanations, evaluation, settings.layer, titles)
    results = {
        **evaluation.header,
        "n_episodes": len(episodes),
        "layer": settings.layer,
        "search": settings.moments,
        "directions": nmf.directions,
        "moments": [explanation.as_dict() for explanation in explanations],
    }
    write_text(folder / TABLE_FILE, table)
    write_json(folder / RESULTS_FILE, results)
    return Report(explanations, page, table)


def _replays(
    episodes: Sequence[Episode], game: GameSettings, wanted: Sequence[int], what: str
) -> Iterator[Replay]:
    chosen = [episodes[place] for place in wanted]
    yield from progress(replay_episodes(chosen, game), what, total=len(chosen))


def _search(
    source: Model,
    episodes: Sequence[Episode],
    replays: Callable[[Sequence[int], str], Iterator[Replay]],
    settings: ReportSettings,
) -> tuple[list[Moment], np.ndarray]:
    """Finds moments of episodes, and samples observations evenly from these."""
    ends = np.cumsum([len(episode.actions) for episode in episodes])
    n = min(ends[-1], settings.n_observations)
    places = np.unique(np.linspace(0, ends[-1] - 1, n, dtype=int))
    # Those in each episode, from its start.
    inside = np.split(places, np.searchsorted(places, ends[:-1]))
    wanted = [part - start for part, start in zip(inside, [0, *ends], strict=False)]
    sampled: list[np.ndarray] = []

    def curves() -> Iterator[ValueCurve]:
        found = replays(range(len(episodes)), "values along episodes")
        for replay, steps in zip(found, wanted, strict=True):
            sampled.append(replay.observations[steps])
            values = source(replay.observations)[1]
            rewards = source.reward_scale * replay.rewards
            yield ValueCurve(replay.episode, values, rewards)

    moments = find_moments(curves(), settings.moments, source.gamma, source.lam)
    if not moments:
        raise InputError(
            f"there is no moment to show in {len(episodes)} episodes; look through more"
        )
    return moments, np.concatenate(sampled)


def load_for_report(model: str, settings: ReportSettings) -> tuple[Model, Names]:
    """Loads a model and the names of its features.

    A script can call it before it plays.

    Raises:
        ModelError: the model lacks a layer that the settings name.
        FileFormatError: the file of names is missing or damaged.
    """
    source = load(model, samples=True)
    others = [name for name in settings.interface.layers[1:] if name != INPUT_LAYER]
    for layer in (settings.layer, *others):
        if layer not in source.layers:
            raise ModelError(
                f"{source.name} has no layer {layer!r} with features; its layers are "
                f"{', '.join(source.layers)}"
            )
    names = settings.interface.names
    return source, read_names(names) if names else {}


def _check_player(source: Model, evaluation: Evaluation) -> None:
    if not evaluation.episodes:
        raise InputError("the evaluation holds no episodes: play some first")
    played = evaluation.header.get("model", {})
    if played.get("sha256") != source.digest:
        raise InputError(
            f"{source.name} did not play these episodes, {played.get('name')} did: "
            "give that model, or evaluate this one"
        )
