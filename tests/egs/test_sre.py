"""The recipe egs/sre/v1 on miniatures of its corpora: lists, stages, tables."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sre_corpora
import toy

RECIPE = Path(__file__).parents[2] / "egs/sre/v1"
SIZES = (
    "--num-augmented 200 --min-len 100 --min-num-utts 4 --valid-speakers 4 "
    "--valid-utts 1 --lda-dim 6 --nj 2"
).split()


def run(folder, *options, recipe=RECIPE):
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"}
    command = ["./run.sh", *SIZES]
    for name in ("data", "exp", "ldc", "sre10", "sre16", "musan"):
        command += [f"--{name}", folder / name]
    command += ["--rirs-noises", folder / "RIRS_NOISES"]
    command += ["--sre16-unlabelled", folder / "unlabelled"]
    command += ["--speaker-list", folder / "ldc/speaker_list"]
    command += ["--nnet-config", folder / "tiny.json", *options]
    return subprocess.run(
        [str(x) for x in command],
        cwd=recipe,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sre")
    sre_corpora.make_ldc(folder / "ldc")
    sre_corpora.make_sre10(folder / "sre10")
    sre_corpora.make_sre16(folder / "sre16")
    sre_corpora.make_unlabelled(folder / "unlabelled")
    sre_corpora.make_musan(folder / "musan")
    sre_corpora.make_rirs(folder / "RIRS_NOISES")
    return folder


@pytest.fixture(scope="module")
def done(corpora):
    toy.write_config(
        corpora / "tiny.json",
        num_nodes_frame_layers=48,
        num_nodes_pooling_layer=64,
        num_epochs=3,
        num_steps_per_epoch=20,
        num_speakers_per_batch=8,
        min_segment_len=80,
        max_segment_len=100,
        learning_rate=0.003,
        embedding_node="output",  # of 16 values: LDA needs more utterances than values
    )
    result = run(corpora)
    assert result.returncode == 0, result.stdout + result.stderr
    return corpora, result


def lines(path):
    return path.read_text().splitlines()


def test_run(done):
    print(done[1].stdout)
