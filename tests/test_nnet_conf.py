"""Every configuration loads; the original's keys are known; the pages are true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from misc.config_rules import OTHER_TRAININGS
from misc.params import FIELDS, Params

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "nnet_conf").glob("*/*.json"))
PAGE = ROOT / "docs/configuration.md"

# The union over the original's 91 files, its comments left out.
ORIGINAL_KEYS = """
seed network_type last_layer_no_bn last_layer_linear feature_norm feature_scaling_factor
loss_func batch_type pooling_type embedding_node learning_rate optimizer momentum
use_nesterov clip_gradient clip_gradient_norm weight_l2_regularizer batchnorm_momentum
num_epochs num_steps_per_epoch reduce_lr_epochs early_stop_epochs min_learning_rate
show_training_progress keep_checkpoint_max save_summary_steps save_checkpoints_steps
valid_max_iterations num_parallel_datasets max_queue_size num_speakers_per_batch
num_segments_per_speaker min_segment_len max_segment_len aux_loss_func ring_loss_init
ring_loss_lambda mhe_lambda noload_var_list noupdate_var_list att_key_input
att_key_num_nodes att_key_network_type att_value_input att_value_num_nodes
att_value_network_type att_apply_nonlinear att_use_scale att_num_heads att_split_key
att_penalty_term asoftmax_m asoftmax_lambda_min asoftmax_lambda_base
asoftmax_lambda_gamma asoftmax_lambda_power amsoftmax_m amsoftmax_lambda_min
amsoftmax_lambda_base amsoftmax_lambda_gamma amsoftmax_lambda_power arcsoftmax_m
arcsoftmax_lambda_min arcsoftmax_lambda_base arcsoftmax_lambda_gamma
arcsoftmax_lambda_power
""".split()
MULTITASK_KEYS = """
context_size num_shared_layers spk_loss_weight speaker_dim spk_last_layer_no_bn
spk_last_layer_linear spk_loss_type phn_loss_weight phone_dim phn_loss_type
num_frames_per_utt spk_embedding_node phn_embedding_node phone_layer_size
phone_kernel_size phone_dilation_size speaker_left_context speaker_right_context
phone_left_context phone_right_context
""".split()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_configurations_load(path):
    assert Params.from_json(str(path)).network_type == "tdnn"


def test_the_originals_keys_are_known():
    assert set(ORIGINAL_KEYS) <= FIELDS.keys()
    multitask, multi_input = OTHER_TRAININGS.values()
    assert set(MULTITASK_KEYS) <= multitask.keys()
    assert "aux_feature_dim" in multi_input
    assert len(ORIGINAL_KEYS) + len(MULTITASK_KEYS) > 80


def test_the_page_of_keys_is_up_to_date():
    program = ROOT / "misc/tools/describe_params.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert PAGE.read_text() == done.stdout, (
        "run python3 misc/tools/describe_params.py > docs/configuration.md"
    )
    for key in FIELDS:
        assert f"`{key}`" in done.stdout


def test_the_commands_of_the_readme():
    """Each row of the results tables names a file that is there, and keys that load."""
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"`(nnet_conf/\S+\.json)((?: --set \S+)*)`", text)
    assert len(rows) >= 20
    for path, overrides in rows:
        Params.from_json(str(ROOT / path), re.findall(r"--set (\S+)", overrides))
