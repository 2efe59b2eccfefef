"""What a run's folder knows of its features: from training, by hand, against data."""

import pytest
import toy

from dataset.errors import InputError
from dataset.features import SlidingCmvnOptions
from misc.model_front_end import add_conf, check_data, model_front_end, training_conf
from misc.params import Params
from misc.run_dir import RunDir

MFCC = "--num-ceps=5\n--num-mel-bins=12\n"
VAD = "--vad-energy-threshold=5.5\n"


@pytest.fixture
def params(tmp_path):
    def make(**changes):
        return Params.from_json(str(toy.write_config(tmp_path / "c.json", **changes)))

    return make


@pytest.fixture
def new_run(tmp_path, params):
    def make(**conf):
        run = RunDir(str(tmp_path / "net"))
        files = {f"{name}.conf": text for name, text in conf.items()}
        run.create(params(), 5, 7, front_end=files)
        return run

    return make


@pytest.fixture
def write(tmp_path):
    """Writes option files beside one another, as a recipe's conf/; their paths."""

    def run(**conf):
        paths = {f"{name}.conf": tmp_path / f"{name}.conf" for name in conf}
        for path, text in zip(paths.values(), conf.values(), strict=True):
            path.write_text(text)
        return {name: str(path) for name, path in paths.items()}

    return run


def test_training_takes_what_its_data_know(tmp_path, params, write):
    conf = toy.write_data_dir(tmp_path / "data") / "conf"

    def known(**changes):
        return training_conf(params(**changes), str(tmp_path / "data"))

    assert known() == {}
    conf.mkdir()
    (conf / "mfcc.conf").write_text(MFCC)
    (conf / "cmvn.conf").write_text("--cmn-window=600\n")
    assert known() == {"mfcc.conf": MFCC, "cmvn.conf": "--cmn-window=600\n"}
    assert known(raw_features=True) == {"mfcc.conf": MFCC}, "the loader has its own"
    (conf / "fbank.conf").write_text("--num-mel-bins=5\n")
    assert set(known()) == {"cmvn.conf"}, "which of both, nobody knows"
    [config] = write(fbank="--num-mel-bins=6\n").values()
    waveforms = {"waveform_features": "fbank", "waveform_config": config}
    assert known(**waveforms) == {"fbank.conf": "--num-mel-bins=6\n"}


def test_the_front_end_of_a_run(new_run):
    run = new_run(mfcc=MFCC, vad=VAD)
    front_end = model_front_end(run)
    assert front_end.dim == 5 and front_end.compress
    assert front_end.vad.vad_energy_threshold == 5.5
    assert front_end.cmvn == SlidingCmvnOptions(cmn_window=300, center=True)
    run = new_run(fbank="--num-mel-bins=4\n--use-energy=true\n", vad=VAD)
    assert model_front_end(run).dim == 5


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({}, "front_end has no mfcc.conf or fbank.conf, no vad.conf; .*add_front_end"),
        ({"mfcc": MFCC}, "has no vad.conf; .* --vad-config conf/vad.conf .*net$"),
        ({"vad": VAD}, "no mfcc.conf or fbank.conf; .* --mfcc-config conf/mfcc.conf"),
        ({"mfcc": MFCC, "fbank": MFCC, "vad": VAD}, "and fbank.conf: expected one"),
        ({"mfcc": "--num-ceps=6\n", "vad": VAD}, "6-dimensional .* model takes 5"),
        ({"mfcc": "--ceps=6\n", "vad": VAD}, "mfcc.conf:1"),
    ],
)
def test_what_is_missing_or_wrong(new_run, conf, words):
    with pytest.raises(InputError, match=words):
        model_front_end(new_run(**conf))


def test_files_are_added_if_they_are_whole_and_right(new_run, write):
    run = new_run()
    for conf, words in (
        ({"mfcc": MFCC}, "has no vad.conf"),
        ({"mfcc": "--num-ceps=4\n", "vad": VAD}, "4-dimensional"),
        ({"mfcc": MFCC, "vad": "--loud=1\n"}, "--loud"),
    ):
        with pytest.raises(InputError, match=words):
            add_conf(run, write(**conf))
        with pytest.raises(InputError, match="has no mfcc.conf"):
            model_front_end(run)
    add_conf(run, write(mfcc=MFCC, vad=VAD))
    add_conf(run, write(mfcc=MFCC, cmvn="--cmn-window=200\n"))
    assert model_front_end(run).cmvn.cmn_window == 200
    with pytest.raises(InputError, match=r"vad\.conf is not what .* remove it first"):
        add_conf(run, write(vad="--vad-energy-threshold=4\n"))
    with pytest.raises(InputError, match="nothing: .*No such file"):
        add_conf(run, {"copy-feats.conf": "nothing"})
    with pytest.raises(InputError, match="is this a model folder"):
        add_conf(RunDir("nowhere"), write(mfcc=MFCC, vad=VAD))
    assert model_front_end(run).vad.vad_energy_threshold == 5.5


def test_data_must_have_the_features_of_the_training(tmp_path, new_run, caplog):
    data = toy.write_data_dir(tmp_path / "data")
    conf = data / "conf"
    conf.mkdir()
    run = new_run()
    check_data(run, str(data))
    (conf / "mfcc.conf").write_text(MFCC + "--num-mel-bins=13\n")
    check_data(run, str(data))  # the model does not know
    run = new_run(mfcc=MFCC, vad=VAD)
    with pytest.raises(InputError, match="data/conf/mfcc.conf: --num-mel-bins=13: not"):
        check_data(run, str(data))
    (conf / "mfcc.conf").write_text(MFCC + "--dither=0 # another noise\n")
    check_data(run, str(data))
    assert not caplog.records
    (conf / "vad.conf").write_text(VAD + "--vad-frames-context=3\n")
    check_data(run, str(data))
    assert "is not what the training had" in caplog.text
    (conf / "mfcc.conf").rename(conf / "fbank.conf")
    with pytest.raises(InputError, match="the model's features are mfcc.conf's"):
        check_data(run, str(data))
    (conf / "cmvn.conf").write_text("--cmn-window=300\n")
    with pytest.raises(InputError, match="sliding CMVN has been applied"):
        check_data(run, str(data))
    other = toy.write_data_dir(tmp_path / "other", dim=4)
    with pytest.raises(InputError, match="has 4-dimensional features, the model takes"):
        check_data(run, str(other))
