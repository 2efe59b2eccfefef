"""The keys of a configuration that make features of waveforms, and change them."""

from __future__ import annotations

import dataclasses

from misc.config_keys import ABOVE_ZERO, key

_WAVEFORMS = ("waveform_features", "mfcc", "fbank")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationKeys:
    """A part of `misc.params.Params`; see docs/augmentation.md."""

    # Waveforms and augmentation
    waveform_features: str | None = key(
        "make such features of the recordings in wav.scp while training; the data "
        "directories have vad.scp and utt2num_frames, and need no feats.scp. Sliding "
        "CMVN and VAD as with raw_features",
        None,
        choices=("mfcc", "fbank"),
    )
    waveform_config: str = key(
        "file of their options, such as conf/mfcc.conf", used_if=_WAVEFORMS
    )
    augment_clean: float = key(
        "weight of segments that stay as they are", 1.0, used_if=_WAVEFORMS, low=0
    )
    augment_reverb: float = key(
        "weight of segments put into a room", 0.0, used_if=_WAVEFORMS, low=0
    )
    augment_reverb_lists: tuple[str, ...] = key(
        "impulse responses: files as rir_list or wav.scp, or data directories; each "
        "has the same share",
        used_if=("augment_reverb", ABOVE_ZERO),
    )
    augment_noise: float = key(
        "weight of segments with noises, one after another",
        0.0,
        used_if=_WAVEFORMS,
        low=0,
    )
    augment_noise_lists: tuple[str, ...] = key(
        "noises: data directories, or files as wav.scp",
        used_if=("augment_noise", ABOVE_ZERO),
    )
    augment_noise_snrs: tuple[float, ...] = key(
        "ratios in dB that are drawn from",
        (15.0, 10.0, 5.0, 0.0),
        used_if=("augment_noise", ABOVE_ZERO),
    )
    augment_music: float = key(
        "weight of segments with music", 0.0, used_if=_WAVEFORMS, low=0
    )
    augment_music_lists: tuple[str, ...] = key(
        "music, as for noises", used_if=("augment_music", ABOVE_ZERO)
    )
    augment_music_snrs: tuple[float, ...] = key(
        "ratios in dB that are drawn from",
        (15.0, 10.0, 8.0, 5.0),
        used_if=("augment_music", ABOVE_ZERO),
    )
    augment_babble: float = key(
        "weight of segments with other voices", 0.0, used_if=_WAVEFORMS, low=0
    )
    augment_babble_lists: tuple[str, ...] = key(
        "speech, as for noises; []: utterances of the training",
        (),
        used_if=("augment_babble", ABOVE_ZERO),
    )
    augment_babble_snrs: tuple[float, ...] = key(
        "ratios in dB that are drawn from, for each voice",
        (20.0, 17.0, 15.0, 13.0),
        used_if=("augment_babble", ABOVE_ZERO),
    )
    augment_babble_voices: tuple[int, ...] = key(
        "how many voices: one of these numbers",
        (3, 4, 5, 6, 7),
        used_if=("augment_babble", ABOVE_ZERO),
        low=1,
    )
    augment_speeds: tuple[float, ...] = key(
        "copies of all utterances at these speeds are new speakers",
        (),
        used_if=_WAVEFORMS,
        low=0.5,
        high=2,
    )
    time_masks: tuple[int, ...] = key(
        "widest in frames of each band of frames set to 0 (SpecAugment)", (), low=1
    )
    frequency_masks: tuple[int, ...] = key(
        "widest of each band of features set to 0", (), low=1
    )
