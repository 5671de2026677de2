"""The script as a user runs it, on the bundled model and real games."""

import json
import pathlib
import re
import shlex

from lucid_rl.checkpoints.checkpoint import save_checkpoint
from lucid_rl.games.coinrun_original_files import LIBRARY_VARIABLE
from tests.programs import run_python, run_script
from tests.script_errors import errors_of

_PARSED = """
import json, sys
from absl import flags
from scripts import visualize_features

for arguments in json.load(sys.stdin):
    assert flags.FLAGS(["visualize_features", *arguments])[1:] == []
    flags.FLAGS.unparse_flags()
print("parsed")
"""
_DOCUMENT = pathlib.Path(__file__).parents[3] / "docs" / "feature_visualization.md"


def _run(*arguments, module="visualize_features"):
    return run_script(module, *arguments)


def test_from_flags_to_files(tmp_path, golden_folder, checkpoint_a):
    other = tmp_path / "other.jd"
    halves = {name: values / 2 for name, values in checkpoint_a.params.items()}
    save_checkpoint(checkpoint_a.replace_params(halves), other)
    arguments = (
        f"--output_dir={tmp_path / 'out'}",
        f"--report={tmp_path / 'report.md'}",
        f"--model={golden_folder / 'checkpoint_A.jd'}",
        f"--compare_to={other}",
        f"--imagenet_model={golden_folder / 'checkpoint_A.model.pb'}",
        "--imagenet_layers=ppo2_model/pi/1a/Relu,ppo2_model/pi/2b/Relu",
        "--presets=layers,spatial,differences",
        "--n_observations=40",
        "--n_features=3",
        "--steps=2",
        "--objective=direction",
        "--targets=2,0",
        "--position=3,4",
        "--parametrization=maco",
        "--game_statistics",
        "--penalty=0.1",
        "--jitter=20",
        "--examples=grid",
        "--side=2",
        "--max_per_position=1",
    )
    result = _run(*arguments)
    assert result.returncode == 0, result.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    figures = results["figures"]
    assert list(figures) == ["layers", "spatial", "differences", "own"]
    own, examples = figures["own"]["rows"]
    assert own["labels"] == examples["labels"] == ["feature 2", "feature 0"]
    assert own["settings"]["position"] == "(3, 4)"
    assert own["settings"]["penalty"] == "0.1 at 1a"
    assert own["settings"]["jitter"] == "20"
    assert examples["settings"]["from one position"] == "at most 1"
    assert len(figures["spatial"]["rows"][0]["files"]) == 3
    beside = [row["title"] for row in figures["layers"]["rows"]]
    assert beside[:2] == ["ImageNet, first layer", "ImageNet, intermediate layer"]
    assert results["about"]["observations"] == "40"
    assert "checkpoint_A.model.pb" in results["about"]["ImageNet"]
    lines = result.stdout.strip().splitlines()
    assert lines[-2:] == [
        str(tmp_path / "out" / "index.html"),
        str(tmp_path / "report.md"),
    ]
    assert any("extremal" in line for line in lines)


def test_bad_input_is_one_line(tmp_path, golden_folder, checkpoint_a, monkeypatch):
    # Its game is not there, so that nothing can be sampled.
    monkeypatch.delenv(LIBRARY_VARIABLE, raising=False)
    unplayable = tmp_path / "unplayable.jd"
    game = {"env_name": "coinrun_old"}
    save_checkpoint(checkpoint_a.replace_params({}, args=game), unplayable)
    other = (f"--model={unplayable}", "--objective=neuron")
    own = ("--objective=neuron", "--n_observations=2")
    cases = [
        (("--presets=clouds",), "no preset 'clouds'"),
        (("--presets=",), "nothing to do"),
        (("--steps=0",), "steps=0: expected a whole number of at least 1"),
        (("--model=nothing.jd",), "nothing.jd"),
        (("--compare_to=nothing.jd",), "nothing.jd"),
        (("--observations=nothing.jd",), "nothing.jd"),
        (("--imagenet_model=a.model.pb", "--imagenet_layers=a"), "two names"),
        (("--objective=difference",), "--compare_to"),
        (("--objective=neuron", "--targets=a,b"), "--targets=a,b"),
        (("--objective=neuron", "--position=middle"), "--position='middle'"),
        (("--objective=neuron", "--jitter=-1"), "jitter=-1"),
        (("--objective=neuron", "--penalty=-1"), "penalty=-1"),
        ((*own, "--layer=9z"), "no layer or output '9z'"),
        ((*own, "--targets=999"), "no channel 999: there are"),
        ((*own, "--position=999,0"), "position (999, 0) lies outside"),
        ((*own, "--jitter=64"), "leaves nothing"),
        ((*own, "--objective=caricature", "--targets=2"), "no observation 2"),
        ((*own, "--objective=channel", "--layer=logits"), "keep_size"),
        (("--examples=map", "--layer=value", "--n_observations=2"), "positions"),
        (other, "coinrun_original"),
        ((*other, "--layer=9z"), "no layer or output '9z'"),
        ((*other, "--targets=999"), "no channel 999: there are"),
        ((*other, "--objective=caricature", "--targets=1024"), "no observation 1024"),
    ]
    model = f"--model={golden_folder / 'checkpoint_A.jd'}"
    lines = [(f"--output_dir={tmp_path / 'out'}", model, *c) for c, _ in cases]
    found = errors_of("visualize_features", lines)
    assert len(found) == len(cases)
    for (arguments, expected), message in zip(cases, found, strict=True):
        assert message is not None, arguments
        assert message.startswith("error: ") and expected in message, arguments
        assert "\n" not in message
    assert not list(tmp_path.glob("out/*/*"))


def test_the_documents_commands_can_be_parsed():
    text = _DOCUMENT.read_text().replace("\\\n", " ")
    commands = re.findall(r"^lucid-rl visualize-features(.*)$", text, re.M)
    assert len(commands) >= 7
    lines = [shlex.split(command, comments=True) for command in commands]
    result = run_python("-c", _PARSED, input=json.dumps(lines))
    assert result.stdout.strip() == "parsed", result.stderr
    root = _DOCUMENT.parents[1]
    report = (root / "benchmarks/results/feature_visualization.md").read_text()
    (made_by,) = re.findall(r"^Made by `(.*)`\.$", report, re.M)
    assert made_by.split() == ["python", "-m", "scripts.visualize_features", *lines[-1]]


def test_the_network_to_compare_with_needs_its_weights(tmp_path):
    weights, output = f"--weights={tmp_path / 'a.pth'}", f"--output={tmp_path / 'b'}"
    result = _run(weights, output, module="imagenet_model")
    assert result.returncode == 1
    assert "error: cannot read" in result.stderr and "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
