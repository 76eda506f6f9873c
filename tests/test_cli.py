"""The command line, through ``main`` and once as a process."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.cli import main, make_parser
from brainof_toolbox.datasets import make_epochs, make_raw
from brainof_toolbox.models import checkpoint, load_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two subjects with two recordings each, one cued recording, epochs."""
    folder = tmp_path_factory.mktemp("recordings")
    for seed, (subject, task) in enumerate((s, t) for s in ("01", "02", "03") for t in "ab"):
        raw = make_raw(n_channels=8, duration=4.0, sfreq=128.0, random_state=seed)
        raw.save(folder / f"sub-{subject}_task-{task}_raw.fif", verbose="error")
    for run in (1, 2):
        raw = make_raw(n_channels=8, duration=49.0, sfreq=128.0, task="hands", random_state=run)
        raw.save(folder / f"run-{run}_raw.fif", verbose="error")
    epochs = make_epochs(n_channels=8, n_epochs=12, duration=1.0)
    epochs.save(folder / "some-epo.fif", verbose="error")
    return folder


def _recordings(folder):
    return [str(path) for path in sorted(folder.glob("sub-*_raw.fif"))]


@pytest.fixture
def micro(micro_checkpoint):
    return ["--checkpoint", str(micro_checkpoint), "--pooling", "mean"]


def test_info(capsys, micro_checkpoint, no_network):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert "brainof_toolbox" in text and "torch" in text and "cpu" in text
    assert re.search(
        r"^checkpoint +brainof-tiny \(default\): [\d,]{9} parameters, \S+", text, re.M
    )
    assert main(["info", str(micro_checkpoint)]) == 0
    card = capsys.readouterr().out
    assert re.search(r"parameters +[\d,]+", card) and "n_layers: 2" in card and "sha256" in card


def test_info_of_bundled_checkpoints(tmp_path, micro_checkpoint, monkeypatch, capsys):
    """Each with its licence, its parameters and where its model card is."""
    monkeypatch.setattr(checkpoint, "WEIGHTS_FOLDER", tmp_path)
    assert main(["info"]) == 0
    assert "none bundled" in capsys.readouterr().out
    shutil.copytree(micro_checkpoint, tmp_path / "brainof-micro")
    n = load_checkpoint(micro_checkpoint).model.n_parameters()
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert f"brainof-micro: {n:,} parameters, BSD-3-Clause" in text and "default" not in text
    assert "model card" not in text
    card = tmp_path / "brainof-micro" / "README.md"
    card.write_text("# Model card")
    for command in (["info"], ["info", "brainof-micro"]):
        assert main(command) == 0
        assert re.search(rf"model card:? +{re.escape(str(card))}", capsys.readouterr().out)


def test_info_says_what_weights_come_from(capsys):
    """One line per source of the corpus, and only the number of its subjects."""
    assert main(["info", "brainof-tiny"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^  subjects: \d+ \(hashed\)$", text, re.M)
    sources = load_checkpoint("brainof-tiny").manifest["sources"]
    assert len(re.findall(r"^    dataset .*licence", text, re.M)) == len(sources) > 0


def test_weights_are_the_bundled_ones_unless_told_otherwise(folder, tmp_path, capsys):
    """Every command that takes a checkpoint; ``none`` asks for untrained weights."""
    default = inspect.signature(BrainOFEmbedder).parameters["checkpoint"].default
    files, parser = _recordings(folder)[:2], make_parser()
    commands = (["embed", "x", "-o", "x.csv"], ["decode", "x"], ["demo"])
    for command in commands:
        assert parser.parse_args(command).checkpoint == default == "brainof-tiny"
        for given, wanted in (("none", None), ("./none", "./none"), ("hf://a/b", "hf://a/b")):
            options = parser.parse_args([*command, "--checkpoint", given])
            assert options.checkpoint == wanted
    rows = {}
    for kind, options in (("default", []), ("none", ["--checkpoint", "none"])):
        out = tmp_path / f"{kind}.npy"
        assert main(["embed", *files, "-o", str(out), *options]) == 0
        rows[kind] = np.load(out)
        assert ("untrained" in capsys.readouterr().err) == (kind == "none")
    np.testing.assert_allclose(rows["default"], BrainOFEmbedder().fit_transform(files), atol=1e-5)
    np.testing.assert_allclose(rows["none"], BrainOFEmbedder(None).fit_transform(files), atol=1e-5)
    assert rows["default"].shape[1] < rows["none"].shape[1]  # read-outs, and all latents


def test_decode_names_untrained_weights(folder, capsys):
    command = ["decode", str(folder / "some-epo.fif"), "--no-baselines", "--pooling", "mean"]
    assert main([*command, "--checkpoint", "none"]) == 0
    assert 0 <= _mean(capsys.readouterr().out, "Brain-OF (untrained)") <= 1


@pytest.mark.parametrize("adaptation", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_decode_by_fine_tuning(adaptation, folder, micro, capsys):
    command = ["decode", str(folder / "some-epo.fif"), "--no-baselines", *micro]
    assert main([*command, "--adaptation", adaptation, "--max-epochs", "1"]) == 0
    assert 0 <= _mean(capsys.readouterr().out, "Brain-OF") <= 1


@pytest.mark.parametrize("ending", ["csv", "npy", "parquet"])
def test_embed_one_row_per_recording(folder, tmp_path, micro, ending, capsys, no_network):
    files, out = _recordings(folder)[:3], tmp_path / f"out.{ending}"
    assert main(["embed", *files, "-o", str(out), *micro]) == 0
    captured = capsys.readouterr()
    assert "3 rows of 32 features" in captured.out and "%|" not in captured.err
    if ending == "npy":
        features = np.load(out, allow_pickle=False)
    else:
        table = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
        assert table["file"].tolist() == files and table["index"].tolist() == [0, 0, 0]
        features = table.iloc[:, 2:].to_numpy()
    assert features.shape == (3, 32) and np.isfinite(features).all()
    assert not np.allclose(features[0], features[1])


def test_embed_one_row_per_epoch(folder, tmp_path, micro):
    out = tmp_path / "out.csv"
    files = [str(folder / "some-epo.fif"), _recordings(folder)[0]]
    assert main(["embed", *files, "-o", str(out), *micro]) == 0
    assert pd.read_csv(out)["index"].tolist() == [*range(12), 0]


def _mean(text, name):
    """Mean score of a decoder: its row of the comparison, or the last line of its scores."""
    pattern = rf"^{re.escape(name)}(?: +|\n(?:.*\n)+.*?: )([\d.]+)"
    return float(re.search(pattern, text, re.M)[1])


def test_decode_events_of_runs(folder, micro, capsys):
    files = [str(folder / f"run-{run}_raw.fif") for run in (1, 2)]
    code = main(["decode", *files, "--event-id", "left", "right", "--tmax", "3", *micro])
    text = capsys.readouterr().out
    assert code == 0 and "24 samples, classes left (12), right (12)" in text
    assert "whole files: 2 in all" in text and "ATTENTION" not in text
    assert "chance" in text and 0 <= _mean(text, "Brain-OF") <= 1
    assert 0 <= _mean(text, "CSP + LDA") <= 1  # 24 samples: too few for more


def test_decode_labels_of_names_and_tables(folder, micro, capsys, tmp_path):
    files = _recordings(folder)
    assert main(["decode", *files, "--label-from-name", "task-(.)", *micro]) == 0
    text = capsys.readouterr().out
    assert "whole subjects: 3 in all" in text and "classes a (3), b (3)" in text
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\nsub-01\t20\nsub-02\t40.5\nsub-03\t60\n")
    options = ["--labels", str(table), "--target", "age", "--no-baselines"]
    assert main(["decode", *files, *options, *micro]) == 0
    text = capsys.readouterr().out
    assert "mean absolute error" in text and "targets from 20 to 60" in text
    assert main(["decode", *files, "--labels", str(table), "--target", "sex", *micro]) == 1
    assert "no column 'sex'" in capsys.readouterr().err


def test_decode_one_recording_says_so_loudly(folder, micro, capsys):
    assert main(["decode", str(folder / "some-epo.fif"), "--no-baselines", *micro]) == 0
    assert "ATTENTION" in capsys.readouterr().out


def test_decode_an_array(tmp_path, micro, capsys):
    """Sensors of an array have no positions: an error, unless placing by order is asked for."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "X.npy", 100 * rng.normal(size=(20, 5, 200)).astype(np.float32))
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    command = [
        "decode",
        str(tmp_path / "X.npy"),
        "--y",
        str(tmp_path / "y.npy"),
        "--ch-type",
        "mag",
    ]
    command += ["--sfreq", "200", "--scale", "1e-15", *micro]
    assert main(command) == 1
    assert "position" in capsys.readouterr().err
    assert main([*command, "--missing-positions", "placeholder"]) == 0
    assert "shrinkage LDA" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["embed", "no_such.fif", "-o", "x.csv"], "no_such.fif"),
        (["embed", "a.fif", "-o", "no_such_folder/x.csv"], "No such folder"),
        (["info", "brainof-none"], "brainof-none"),
        (["decode", "no_such.fif"], "no_such.fif"),
        (["decode", "X.npy"], "--sfreq"),
        (["demo", "--data", "no_such_folder"], "no_such_folder"),
    ],
)
def test_failure_is_one_line(arguments, words, capsys):
    assert main(arguments) == 1
    lines = [
        row for row in capsys.readouterr().err.splitlines() if row.startswith("brainof: error")
    ]
    assert len(lines) == 1 and words in lines[0]
    with pytest.raises((ValueError, OSError)):
        main([*arguments, "--debug"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["embed", "a.fif"],
        ["embed", "a.fif", "-o", "x.txt"],
        ["decode", "a.fif", "--labels", "t.tsv"],
        ["decode", "a.fif", "--missing-positions", "guess"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "usage: brainof" in capsys.readouterr().err


def test_unknown_options_show_the_usage_of_their_command(capsys):
    for command in (["embed", "a.fif", "-o", "x.csv"], ["corpus", "info", "c"], ["pretrain", "r"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--no-such-option"])
        text = capsys.readouterr().err
        name = " ".join(word for word in command[:2] if word in ("embed", "corpus", "info"))
        assert stop.value.code == 2 and f"usage: brainof {name or 'pretrain'} " in text
        assert "unrecognized arguments: --no-such-option" in text


def test_help_as_a_process():
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "brainof_toolbox.cli", "--help"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0
    for word in ("demo", "info", "embed", "decode", "examples:", "exit codes:", "BIDS"):
        assert word in done.stdout
