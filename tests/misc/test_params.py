"""Params: every fault is refused at once, with the key's name."""

import json

import pytest
import toy

from dataset.errors import InputError
from misc.params import Params

ATTENTION = {
    "pooling_type": "self_attention",
    "att_key_input": "tdnn4_relu",
    "att_key_num_nodes": [8, 6],
    "att_key_network_type": 3,
    "att_value_input": "tdnn5_relu",
}
SEMIHARD = {
    "loss_func": "semihard_triplet_loss",
    "margin": 0.2,
    "triplet_loss_squared": True,
}
MHE = {"aux_loss_func": ["mhe_loss"], "mhe_lambda": 0.01}
ANGULAR = {
    "loss_func": "angular_triplet_loss",
    "margin": 2,
    "triplet_type": "all",
    "loss_type": "asoftmax",
    "batch_type": "end2end",
    "num_valid_speakers_per_batch": 2,
    "num_valid_segments_per_speaker": 2,
}


ANGULAR_AM = ANGULAR | {"loss_type": "additive_margin_softmax", "margin": 0.3}
GE2E = ANGULAR | {
    "loss_func": "ge2e_loss",
    "ge2e_loss_type": "contrast",
    "margin": None,
    "triplet_type": None,
    "loss_type": None,
}
CENTERS = {
    "loss_func": "generalized_angular_triplet_loss",
    "margin": 0.5,
    "target_margin": 0,
    "triplet_center": "average",
    "triplet_center_momentum": 0.9,
    "triplet_topn": 0,
    "triplet_loss_weight": 1,
    "center_loss_weight": 1,
    "between_loss_weight": 0.1,
    "num_segments_per_speaker": 1,  # there are centres to compare with
}
COSINE = {"learning_rate_schedule": "cosine", "final_learning_rate": 0}
AM = {
    "loss_func": "additive_margin_softmax",
    "amsoftmax_m": 0.2,
    "amsoftmax_lambda_min": 0,
    "amsoftmax_lambda_base": 0,
    "amsoftmax_lambda_gamma": 0,
    "amsoftmax_lambda_power": 0,
}
VLAD = {
    "pooling_type": "ghost_vlad",
    "vlad_num_centers": 4,
    "vlad_num_ghosts": 0,
    "vlad_key_input": "tdnn5_relu",
    "vlad_value_input": "tdnn5_relu",
}


def load(tmp_path, *overrides, **changes):
    return Params.from_json(
        str(toy.write_config(tmp_path / "c.json", **changes)), overrides
    )


def test_reads_defaults_and_casts(tmp_path):
    params = load(tmp_path, weight_l2_regularizer=1)
    assert params.embedding_node == "tdnn6_dense"
    assert params.weight_l2_regularizer == 1.0
    assert isinstance(params.weight_l2_regularizer, float)


def test_written_json_reads_back_equal(tmp_path):
    params = load(tmp_path)
    (tmp_path / "again.json").write_text(params.to_json())
    assert Params.from_json(str(tmp_path / "again.json")) == params


@pytest.mark.parametrize(
    "changes",
    [ATTENTION, SEMIHARD, MHE, ANGULAR, ANGULAR_AM, GE2E, CENTERS, VLAD, COSINE, AM],
)
def test_lists_and_defaults_of_a_choice_read_back(tmp_path, changes):
    params = load(tmp_path, **changes)
    for key, value in changes.items():
        assert getattr(params, key) == (
            tuple(value) if isinstance(value, list) else value
        )
    (tmp_path / "again.json").write_text(params.to_json())
    assert Params.from_json(str(tmp_path / "again.json")) == params
    assert Params(**json.loads(params.to_json())) == params


def test_what_is_off_may_stay(tmp_path):
    off = {
        "feature_scaling_factor": 30,  # of feature_norm, false
        "use_nesterov": False,
        "noload_var_list": [],
        "att_value_num_nodes": [],
        "clip_gradient_norm": 3,
    }
    load(tmp_path, **off)


def test_segments_may_be_of_one_length(tmp_path):
    assert load(tmp_path, min_segment_len=30, max_segment_len=30).min_segment_len == 30


def test_lists_are_overridden(tmp_path):
    params = load(tmp_path, "att_key_num_nodes=[5]", **ATTENTION)
    assert params.att_key_num_nodes == (5,)


def test_comments_are_allowed(tmp_path):
    comments = {"Note": "a", "?momentum": 1, "Another option": "b"}
    assert load(tmp_path, **comments) == load(tmp_path)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"num_epoch": 3}, "unknown key 'num_epoch'; did you mean 'num_epochs'?"),
        ({"seed": None}, "key 'seed' is missing"),
        ({"seed": "1"}, "'seed': expected int, got \"1\""),
        ({"seed": True}, "'seed': expected int, got true"),
        ({"num_epochs": 0}, "'num_epochs': must be at least 1, got 0"),
        ({"optimizer": "sdg"}, "expected one of sgd, momentum, adam, got 'sdg'"),
        ({"momentum": 0.9}, "'momentum' has no use with optimizer = \"adam\""),
        ({"optimizer": "momentum"}, "key 'momentum' is missing: optimizer"),
        (
            {"amsoftmax_m": 0.2},
            "'amsoftmax_m' has no use with loss_func = \"softmax\": remove it "
            "(it is for additive_margin_softmax)",
        ),
        ({"amsoftmax_m": 0}, "'amsoftmax_m' has no use"),  # not false
        ({"num_speakers_per_batch": 2.5}, "expected int, got 2.5"),
        ({"batchnorm_momentum": 1.5}, "'batchnorm_momentum': must be at most 1"),
        ({"triplet_center_momentum": 0.9}, "has no use without triplet_center"),
        ({"asoftmax_s": 30}, "unknown key 'asoftmax_s'"),  # never read
        ({"loss_func": "additive_margin_softmax"}, "'amsoftmax_m' is missing"),
        ({"feature_norm": True}, "key 'feature_scaling_factor' is missing"),
        ({"min_segment_len": 99}, "'min_segment_len' = 99 is above"),
        ({"learning_rate": "none.txt"}, "none.txt: No such file"),
        ({"learning_rate": 0}, "'learning_rate': must be above 0"),
        ({"use_nesterov": True}, "'use_nesterov' has no use with optimizer"),
        ({"margin": 0.1}, "'margin' has no use with loss_func = \"softmax\""),
        ({"att_num_heads": 2}, "'att_num_heads' has no use with pooling_type"),
        ({"att_key_num_nodes": 8}, "'att_key_num_nodes': expected a list, got 8"),
        (ATTENTION | {"att_key_num_nodes": []}, "expected at least one layer, got []"),
        (ATTENTION | {"att_key_num_nodes": [8, "9"]}, 'expected int, got "9"'),
        (ATTENTION | {"att_key_num_nodes": [8, 0]}, "must be at least 1, got 0"),
        (
            ATTENTION | {"att_num_heads": 4, "att_split_key": True},
            "att_num_heads = 4: expected a multiple, got 6",
        ),
        (
            ATTENTION | {"att_num_heads": 2, "att_value_num_nodes": [4, 9]},
            "'att_value_num_nodes': the last layer is shared by att_num_heads = 2",
        ),
        (ATTENTION | {"att_key_network_type": 4}, "must be at most 3, got 4"),
        (ATTENTION | {"att_key_input": None}, "'att_key_input' is missing: pooling_"),
        ({"loss_func": "asoftmax", "asoftmax_m": 3}, "one of 1, 2, 4, got 3"),
        ({"aux_loss_func": ["ring"]}, "one of ring_loss, mhe_loss, got 'ring'"),
        ({"aux_loss_func": ["mhe_loss"] * 2, "mhe_lambda": 1}, "is given twice"),
        ({"aux_loss_func": ["ring_loss"]}, "'ring_loss_init' is missing: aux_loss"),
        ({"mhe_lambda": 0.1}, "'mhe_lambda' has no use with aux_loss_func = []"),
        (SEMIHARD | {"num_segments_per_speaker": 1}, "semihard_triplet_loss compares"),
        (SEMIHARD | {"num_speakers_per_batch": 1}, "'num_speakers_per_batch' = 1"),
        (SEMIHARD | MHE, "mhe_loss needs an output layer"),
        (GE2E | {"batch_type": "softmax"}, "ge2e_loss is validated end to end"),
        (GE2E | {"num_segments_per_speaker": 1}, "ge2e_loss compares"),
        (GE2E | {"num_valid_speakers_per_batch": 1}, "must be at least 2, got 1"),
        (GE2E | {"num_valid_segments_per_speaker": 1}, "must be at least 2, got 1"),
        (GE2E | {"init_end2end_w": 0}, "'init_end2end_w': must be above 0, got 0"),
        (CENTERS | {"l2_loss_weight": 1}, "'l2_loss_weight': must be at most 0"),
        (CENTERS | {"loss_compute": "softplus"}, "expected one of raw, got 'softplus'"),
        (CENTERS | {"triplet_center_momentum": None}, 'triplet_center = "average"'),
        (
            CENTERS | {"triplet_center": "learnable"},
            "'triplet_center_momentum' has no use with triplet_center = \"learnable\"",
        ),
        (VLAD | {"vlad_num_centers": 0}, "'vlad_num_centers': must be at least 1"),
        (ANGULAR | {"batch_type": "softmax"}, "expected end2end"),
        (ANGULAR | {"margin": 0.3}, "'margin': loss_type = asoftmax takes 1, 2 or 4"),
        (
            {"batch_type": "end2end"},
            "'num_valid_speakers_per_batch' is missing: batch_type",
        ),
        ({"spk_loss_type": "softmax"}, "'spk_loss_type' belongs to multitask training"),
        ({"aux_feature_dim": {"a": 1}}, "'aux_feature_dim' belongs to multi-input"),
        ({"phone_dim": "512"}, "'phone_dim': expected int, got \"512\""),
        (COSINE | {"final_learning_rate": None}, "'final_learning_rate' is missing"),
        (COSINE | {"final_learning_rate": 0.02}, "is above 'learning_rate' = 0.01"),
        (COSINE | {"learning_rate": "rates"}, "expected a number as 'learning_rate'"),
        (COSINE | {"learning_rate_schedule": "exponential"}, "never comes to 0"),
        (COSINE | {"learning_rate_schedule": "cyclic"}, "'cycle_steps' is missing"),
        (COSINE | {"cycle_steps": 4}, "'cycle_steps' has no use"),
        (COSINE | {"early_stop_epochs": 4}, "'early_stop_epochs' has no use"),
        ({"final_learning_rate": 0}, "'final_learning_rate' has no use with"),
        ({"margin_full_step": 9}, "'margin_full_step' has no use with loss_func"),
        (AM | {"margin_start_step": 9}, "'margin_full_step' = 0: expected more than"),
        ({"accumulate_batches": 2}, "'num_steps_per_epoch' = 5: expected a multiple"),
        ({"precision": "half"}, "one of float32, bfloat16, float16, got 'half'"),
        ({"weight_l2_regularizer": float("nan")}, "expected a finite number, got nan"),
        ({"learning_rate": float("inf")}, "expected a finite number, got inf"),
    ],
)
def test_faults(tmp_path, changes, words):
    with pytest.raises(InputError) as caught:
        load(tmp_path, **changes)
    assert words in str(caught.value)
    assert "c.json" in str(caught.value) or "none.txt" in str(caught.value)


def test_all_faults_are_listed(tmp_path):
    with pytest.raises(InputError) as caught:
        load(tmp_path, sed=1, num_epochs="x")
    assert "'sed'" in str(caught.value) and "'num_epochs'" in str(caught.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "not valid JSON"),
        ("[1]", "expected an object"),
        ('{"seed": 1, "seed": 2}', "given twice: seed"),
    ],
)
def test_broken_files(tmp_path, text, words):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        Params.from_json(str(path))


def test_overrides(tmp_path):
    params = load(tmp_path, "seed=7", "optimizer=sgd", "feature_norm=false")
    assert (params.seed, params.optimizer, params.feature_norm) == (7, "sgd", False)
    with pytest.raises(InputError, match="expected key=value"):
        load(tmp_path, "seed")


def test_learning_rate_file_is_sought_beside_the_configuration(tmp_path):
    assert load(tmp_path, learning_rate=0.1).learning_rate_list() is None
    (tmp_path / "rates").write_text("0.1\n0.05\n")
    assert load(tmp_path, learning_rate="rates").learning_rate_list() == [0.1, 0.05]
    with pytest.raises(InputError, match="2 learning rates for num_epochs = 3"):
        load(tmp_path, learning_rate="rates", num_epochs=3)


@pytest.mark.parametrize(
    "rate, words", [("0", "above 0, got 0"), ("nan", "got nan"), ("x", "one number")]
)
def test_learning_rates_are_checked(tmp_path, rate, words):
    (tmp_path / "rates").write_text(f"0.1\n{rate}\n")
    with pytest.raises(InputError, match=words):
        load(tmp_path, learning_rate="rates")


def test_what_is_of_the_wrong_type_is_said_not_stumbled_over(tmp_path):
    for key in json.loads(load(tmp_path, **ATTENTION).to_json()):
        for value in ({}, {"a": [1]}, [[]], -1.5):
            with pytest.raises(InputError, match=f"'{key}'"):
                load(tmp_path, **ATTENTION | {key: value})


def test_shipped_configurations_are_valid():
    from pathlib import Path

    paths = sorted(Path(__file__).parents[2].glob("nnet_conf/*/*.json"))
    assert paths
    for path in paths:
        Params.from_json(str(path))
        assert json.loads(path.read_text())


WAVEFORMS = {"waveform_features": "mfcc", "waveform_config": "mfcc.conf"}
NOISE = WAVEFORMS | {"augment_noise": 1, "augment_noise_lists": ["noise"]}


def test_augmentation(tmp_path):
    params = load(tmp_path, **NOISE)
    assert params.augment_noise_snrs == (15, 10, 5, 0)
    (tmp_path / "again.json").write_text(params.to_json())
    assert Params.from_json(str(tmp_path / "again.json")) == params
    off = load(tmp_path, "augment_noise=0", **NOISE)  # a list may stay
    assert off.augment_noise == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augment_noise": 1}, "'augment_noise' has no use without waveform_features"),
        ({"waveform_features": "mfcc"}, "'waveform_config' is missing"),
        ({"waveform_config": "mfcc.conf"}, "'waveform_config' has no use"),
        (WAVEFORMS | {"raw_features": True}, "'raw_features'"),
        (WAVEFORMS | {"waveform_features": "plp"}, "expected one of mfcc, fbank"),
        (WAVEFORMS | {"augment_noise": 1}, "'augment_noise_lists' is missing"),
        (WAVEFORMS | {"augment_noise_lists": ["n"]}, "it is for a value above 0"),
        (WAVEFORMS | {"augment_noise_snrs": [3]}, "it is for a value above 0"),
        (NOISE | {"augment_noise_lists": []}, "'augment_noise_lists': expected at"),
        (NOISE | {"augment_noise_snrs": []}, "'augment_noise_snrs': expected at"),
        (WAVEFORMS | {"augment_clean": 0}, "all weights are 0"),
        (WAVEFORMS | {"augment_speeds": [0.9, 0.9]}, "each once"),
        (WAVEFORMS | {"augment_speeds": [1]}, "others than 1"),
        (WAVEFORMS | {"augment_speeds": [3]}, "at most 2"),
        ({"time_masks": [10, 20]}, "can hide a segment"),
        ({"frequency_masks": [0]}, "at least 1"),
    ],
)
def test_augmentation_that_cannot_be(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        load(tmp_path, **changes)
