"""The front end in a graph against the one in NumPy."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("exports are TensorFlow's", allow_module_level=True)

import tensorflow as tf

from dataset.features import SlidingCmvnOptions, VadOptions
from dataset.front_end import ComputeFbankOptions, ComputeMfccOptions, FrontEnd
from dataset.wav import read_wave
from model.wave_graph import voiced_frames

SPEECH = Path(__file__).parents[1] / "data/kaldi/frontend"
VAD = VadOptions(vad_energy_threshold=5.5, vad_frames_context=2)
CENTRED = SlidingCmvnOptions(cmn_window=300, center=True)
MFCC = ComputeMfccOptions(num_ceps=20, num_mel_bins=24, snip_edges=False, dither=0)
FBANK = ComputeFbankOptions(dither=0)


@pytest.mark.parametrize(
    "waves, vad, cmvn",
    [
        (MFCC, VAD, CENTRED),
        (
            dataclasses.replace(
                MFCC, snip_edges=True, use_energy=False, htk_compat=True, vtln_warp=1.1
            ),
            VAD,
            SlidingCmvnOptions(cmn_window=100),
        ),
        (
            dataclasses.replace(
                MFCC,
                raw_energy=False,
                energy_floor=10.0,
                remove_dc_offset=False,
                round_to_power_of_two=False,
                window_type="hamming",
                cepstral_lifter=0,
                subtract_mean=True,
            ),
            VadOptions(vad_energy_threshold=-3, vad_frames_context=5),
            dataclasses.replace(CENTRED, norm_vars=True),
        ),
        (FBANK, VadOptions(vad_energy_threshold=2), CENTRED),
        (
            dataclasses.replace(
                FBANK, use_energy=True, use_power=False, use_log_fbank=False
            ),
            VAD,
            dataclasses.replace(CENTRED, cmn_window=37, norm_vars=True),
        ),
        (
            dataclasses.replace(FBANK, use_energy=True, htk_compat=True),
            VadOptions(vad_energy_threshold=2, vad_proportion_threshold=0.3),
            SlidingCmvnOptions(cmn_window=5000, min_cmn_window=5000),
        ),
    ],
)
@pytest.mark.parametrize("name", ["s1", "s3-8k"])
def test_as_in_numpy(name, waves, vad, cmvn):
    wave = read_wave(SPEECH / f"{name}.flac")
    waves = dataclasses.replace(waves, sample_frequency=float(wave.rate))
    front_end = FrontEnd(waves, vad, cmvn, compress=False)
    expected = front_end.voiced_frames("utterance", wave)
    graph = tf.function(
        lambda samples: voiced_frames(samples, front_end),
        [tf.TensorSpec([None], tf.float32)],
    )
    output = graph(wave.samples[0].astype(np.float32)).numpy()
    assert output.shape == expected.shape
    difference = abs(output - expected) / expected.std(axis=0)
    assert difference.max() < 3e-3 and difference.mean() < 2e-5


def test_no_frame_is_voiced():
    front_end = FrontEnd(MFCC, VAD, CENTRED, compress=False)
    rng = np.random.default_rng(0)
    faint = rng.normal(size=16000).astype(np.float32)
    assert voiced_frames(faint, front_end).shape == (0, 20)
