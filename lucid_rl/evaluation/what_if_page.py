"""Films of what would have happened, for the page to show side by side.

They are the part "what_if" of a page's bundle; docs/bundle_format.md has its form. Both
films of a moment begin with the trajectory's own frame, and the manifest's "what_if" is
the part's name; pages without films have no such key.
"""

import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid_rl.errors import BundleError, InputError
from lucid_rl.evaluation.what_if import (
    Situation,
    WhatIf,
    WhatIfSettings,
    changed_agent,
    play_both,
    situation,
)
from lucid_rl.files import PathLike
from lucid_rl.folder_lock import folder_lock
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interface.bundle import Bundle, read_bundle, write_part
from lucid_rl.interface.parts import Layout, Part
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.reports import markdown_table

PART = "what_if"
_SIDES = ("original", "changed")
_MOST_FRAMES = 200  # of a film


@dataclasses.dataclass(frozen=True)
class ShownWhatIf:
    """A result and its place in a page.

    Attributes:
        trajectory: of the page, from 0.
        frame: of the trajectory, from 0.
        change: what the changed agent does not see, or its name.
        result: how both agents played on.
        seed: of the actions.
    """

    trajectory: int
    frame: int
    change: str
    result: WhatIf
    seed: int


def show_what_ifs(
    page: PathLike,
    model: Any,
    change: str,
    settings: WhatIfSettings | None = None,
    places: Sequence[tuple[int, int]] | None = None,
) -> list[ShownWhatIf]:
    """Plays on from moments of a page, and adds the films to it.

    Args:
        page: folder of a page whose trajectories were played in a game that can start
            given levels and has states, such as Procgen's.
        model: the page's first model: a `Model`, or what `load` takes.
        change: as in `what_if`: an object that is not seen, or the changed agent.
        settings: how often, how long before a moment, and the seed.
        places: trajectory and frame of each, from 0; by default all moments that the
            page lists, `settings.n_before` steps before each.

    Returns:
        The results, in the order of the places.

    Raises:
        InputError: the page shows another model, does not tell game or level, or has no
            such frame.
        BundleError: there is no page, or it is a single file.
        GameError: the game cannot start given levels, or has no states.
    """
    settings = settings or WhatIfSettings()
    model = load(model)
    bundle = read_bundle(page)
    if places is None:
        places = [
            (m["trajectory"], max(0, m["frame"] - settings.n_before))
            for m in bundle.manifest["moments"]
        ]
    changed = changed_agent(model, change)
    shown = []
    for trajectory, frame in progress(dict.fromkeys(places), "playing on"):
        found, game = situation_in_page(bundle, trajectory, frame)
        _check_model(model, bundle, bundle.frames(trajectory).start + frame, found)
        result = play_both(model, changed, found, game, settings)
        shown.append(ShownWhatIf(trajectory, frame, change, result, settings.seed))
    add_to_page(page, shown)
    return shown


def what_if_table(shown: Sequence[ShownWhatIf]) -> str:
    """Markdown: a row for each moment, with failures of both agents."""
    header = ("trajectory", "frame", "level", "changed")
    rows = [
        (
            *(one.trajectory + 1, one.frame + 1, one.result.situation.level_seed),
            one.change,
            *(
                f"{agent.failed} {', '.join(agent.causes)}".strip()
                for agent in (one.result.original, one.result.changed)
            ),
            one.result.difference.p_text.removeprefix("p ").removeprefix("= "),
        )
        for one in shown
    ]
    table = markdown_table((*header, "original fails", "changed fails", "p"), rows)
    return f"{table}\n"


def add_to_page(folder: PathLike, shown: Sequence[ShownWhatIf]) -> None:
    """Adds films to a page that is there already; those of other moments stay.

    Raises:
        BundleError: there is no page, or it is a single file.
        InputError: a moment is not in the page.
        SaveError: the page cannot be written, or another process does so.
    """
    bundle = read_bundle(folder)
    if not os.path.isdir(bundle.path / "data"):
        raise BundleError(
            f"{folder} is a page of a single file: make it without --single_file to "
            "add films to it"
        )
    for one in shown:
        length = bundle.frames(one.trajectory)
        if not 0 <= one.frame < length.stop - length.start:
            raise InputError(f"trajectory {one.trajectory} has no frame {one.frame}")
    with folder_lock(bundle.path, "adding films to a page"):
        _add(read_bundle(folder), shown)


def _add(bundle: Bundle, shown: Sequence[ShownWhatIf]) -> None:
    moments = [_moment(one) for one in shown]
    films = [_films(one.result) for one in shown]
    places = {(m["trajectory"], m["frame"], m["change"]) for m in moments}
    if bundle.manifest.get("what_if") == PART:
        part = bundle.part(PART)
        for moment in part.meta["moments"]:
            if (moment["trajectory"], moment["frame"], moment["change"]) in places:
                continue
            moments.append(moment)
            films.append([_film(part, moment[side]["film"]) for side in _SIDES])
    write_part(_part(moments, films), bundle.path)
    manifest = bundle.part("manifest")
    meta = {**manifest.meta, "what_if": PART}
    write_part(dataclasses.replace(manifest, meta=meta), bundle.path)


def moment_of_address(address: str) -> tuple[pathlib.Path, int, int]:
    """The page, trajectory and frame (from 0) that a page's address names.

    The address is what the page's "Share" copies, or the page's path with
    `#trajectory=2&frame=41`, counted from 1.

    Raises:
        InputError: the address names no moment.
    """
    path, _, hashed = address.removeprefix("file://").partition("#")
    found = []
    for key in ("trajectory", "frame"):
        match = re.search(rf"(?:^|&){key}=(\d+)(?:&|$)", hashed)
        if match is None or int(match[1]) < 1:
            raise InputError(
                f"{address} names no moment: expected a page's address such as "
                "page/index.html#trajectory=2&frame=41"
            )
        found.append(int(match[1]) - 1)
    page = pathlib.Path(path)
    return (page.parent if page.name == "index.html" else page), found[0], found[1]


def situation_in_page(
    bundle: Bundle, trajectory: int, frame: int
) -> tuple[Situation, GameSettings]:
    """The saved state of the game at a frame of a page, and the game.

    Trajectory and frame are numbered from 0.
    """
    frames = bundle.frames(trajectory)
    if not 0 <= frame < frames.stop - frames.start:
        raise InputError(
            f"trajectory {trajectory + 1} has {frames.stop - frames.start} frames, "
            f"no frame {frame + 1}"
        )
    entry = bundle.manifest["trajectories"][trajectory]
    episode = [e for e in entry["episodes"] if e["start"] <= frame][-1]
    if episode["level_seed"] is None or episode["level_seed"] < 0:
        raise InputError(f"{bundle.path} does not say which levels it shows")
    try:
        game = GameSettings(**bundle.manifest["environment"])
    except TypeError as error:
        raise InputError(f"{bundle.path} names no game: {error}") from error
    # A clip begins in the middle of its episode.
    before = entry.get("actions_before", []) if episode["start"] == 0 else []
    led = bundle.part("manifest").array("actions")[frames][episode["start"] : frame]
    found = situation(game, episode["level_seed"], [*before, *led])
    if not np.array_equal(found.observation, bundle.observations(trajectory)[frame]):
        raise InputError(
            f"frame {frame + 1} of trajectory {trajectory + 1} is another when level "
            f"{episode['level_seed']} is played again: the page was made with another "
            "engine, or its trajectory began within a level"
        )
    return found, game


def _check_model(model: Model, bundle: Bundle, frame: int, found: Situation) -> None:
    """Compares the value at a frame with the page's, which is exact."""
    value = float(model(found.observation[None])[1][0])
    key = bundle.models[0]
    values = bundle.values(key)
    if abs(value - values[frame]) > 0.01 * float(np.abs(values).max()):
        raise InputError(
            f"{model.name} gives the value {value:.3f} where the page has "
            f"{values[frame]:.3f}: the page was made of another model. Give that one"
        )


def _part(moments: list[dict[str, Any]], films: list[list[np.ndarray]]) -> Part:
    """Numbers the films, and encodes them."""
    flat = list(itertools.chain(*films))
    for number, moment in enumerate(moments):
        for k, side in enumerate(_SIDES):
            moment[side]["film"] = 2 * number + k
    layout = Layout("webp", 0, tuple(map(len, flat)))
    arrays = {"observations": np.concatenate(flat)}
    return Part.encode(PART, {"moments": moments}, arrays, {"observations": layout})


def _film(part: Part, number: int) -> np.ndarray:
    lengths = [entry["shape"][0] for entry in part.entries]
    start = sum(lengths[:number])
    return part.array("observations", start, start + lengths[number])


def _films(result: WhatIf) -> list[np.ndarray]:
    return [
        np.array(list(itertools.islice(result.film(changed), _MOST_FRAMES)))
        for changed in (False, True)
    ]


def _moment(one: ShownWhatIf) -> dict[str, Any]:
    result = one.result
    sides = {}
    for name, agent in (("original", result.original), ("changed", result.changed)):
        episode = agent.episodes[result.shown]
        sides[name] = {
            **agent.as_dict(),
            "outcome": episode.outcome,
            "cut": len(episode.actions) - result.situation.step > _MOST_FRAMES,
        }
    return {
        "trajectory": one.trajectory,
        "frame": one.frame,
        "change": one.change,
        "n_samples": len(result.original.episodes),
        "seed": one.seed,
        **sides,
        "p_value": result.difference.p_value,
    }
