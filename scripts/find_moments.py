r"""Finds moments worth looking at: failures, surprises, one-frame value spikes.

    python -m scripts.find_moments
    python -m scripts.find_moments --episodes=outputs/evaluation
    python -m scripts.find_moments --model=my.jd --n_episodes=2000 --layers=2b,3a
    python -m scripts.find_moments --counterfactual=buzzsaw
    python -m scripts.find_moments --counterfactual=buzzsaw \
        --moment="page/index.html#trajectory=2&frame=41"

Looks through the episodes of an evaluation, or plays new ones, and writes a page of
the interface restricted to the moments, moments.md and moments.json to --output_dir.
--counterfactual plays on from shortly before each moment, with the agent and with one
that does not see an object, and adds both films to the page; with --moment, from one
moment of any page.
"""

import pathlib

from absl import flags

from lucid_rl.editing.paired_observations import ERASABLE_OBJECTS
from lucid_rl.errors import InputError
from lucid_rl.evaluation.evaluation import evaluate
from lucid_rl.evaluation.many import EPISODES_FILE, evaluation_in
from lucid_rl.evaluation.moment_report import (
    ReportSettings,
    load_for_report,
    report_moments,
)
from lucid_rl.evaluation.replay import check_replayable
from lucid_rl.evaluation.settings import EvaluationSettings
from lucid_rl.evaluation.what_if import WhatIfSettings, changed_agent
from lucid_rl.evaluation.what_if_page import (
    moment_of_address,
    show_what_ifs,
    what_if_table,
)
from lucid_rl.files import write_text
from lucid_rl.flags import define_flags

from . import program, shared_flags

_MODEL = flags.DEFINE_string("model", "bundled", program.MODEL_HELP)
_EPISODES = flags.DEFINE_string(
    "episodes", None, "Folder of an evaluation of the model; without one it plays."
)
_output_dir = program.output_dir("outputs/moments")
_COUNTERFACTUAL = flags.DEFINE_string(
    "counterfactual",
    None,
    "What is different for the changed agent: an object that it does not see "
    f"({', '.join(ERASABLE_OBJECTS)}), or the changed agent itself, as --model.",
)
_MOMENT = flags.DEFINE_string(
    "moment", None, "Address of a page's moment, to play on from there only."
)
_use_engine = shared_flags.define_engine_flags()
_game = shared_flags.define_game_flags("name")
_settings = define_flags(
    ReportSettings(n_episodes=500),
    skip=("interface",),
    flat=("moments",),
    names={
        **{f"interface.{n}": n for n in ("layers", "names", "seed")},
        "interface.nmf.n_features": "n_features",
    },
)
_what_if = define_flags(WhatIfSettings(), skip=("seed",))


@program.resumable
def main() -> None:
    """Finds the moments that the flags describe."""
    _use_engine()
    settings, folder = _settings(), _output_dir()
    what_if = _what_if(seed=settings.interface.seed)
    if _MOMENT.value:
        if not _COUNTERFACTUAL.value:
            raise InputError("--moment is played on from: give --counterfactual, too")
        page, trajectory, frame = moment_of_address(_MOMENT.value)
        _play_on(page, what_if, [(trajectory, frame)])
        return
    # What is wrong shows before anything is played.
    model, _ = load_for_report(_MODEL.value, settings)
    if _COUNTERFACTUAL.value not in (None, *ERASABLE_OBJECTS):
        changed_agent(model, _COUNTERFACTUAL.value)
    if _EPISODES.value:
        evaluation = evaluation_in(_EPISODES.value)
    else:
        game = _game(model)
        check_replayable(game)
        played = EvaluationSettings(settings.n_episodes, game, settings.interface.seed)
        evaluation = evaluate(model, settings=played, path=folder / EPISODES_FILE)
    report = report_moments(_MODEL.value, evaluation, folder, settings)
    print(report.table)
    if _COUNTERFACTUAL.value:
        table = _play_on(report.page.parent, what_if)
        write_text(folder / "what_if.md", table)
    print(report.page.absolute())


def _play_on(
    page: pathlib.Path,
    settings: WhatIfSettings,
    places: list[tuple[int, int]] | None = None,
) -> str:
    """Adds films to the page, and prints and returns the table of failures."""
    change = str(_COUNTERFACTUAL.value)
    shown = show_what_ifs(page, _MODEL.value, change, settings, places)
    print(what_if_table(shown))
    return what_if_table(shown)


if __name__ == "__main__":
    program.run(main)
