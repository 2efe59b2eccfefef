"""What a configuration says of waveforms and augmentation, as the loader takes it."""

from __future__ import annotations

import logging
from fractions import Fraction

import numpy as np

from dataset.augmentation import Additions, Augmentation, Rooms, SoundLists
from dataset.errors import InputError
from dataset.front_end import ComputeFbankOptions, ComputeMfccOptions, WaveOptions
from dataset.masks import Masks
from dataset.options import read_config
from dataset.sound_reader import Sound, seekable_file
from dataset.speaker_info import SpeakerInfo
from dataset.waveform_reader import WaveformOptions
from misc.params import Params
from misc.sound_lists import check_sounds, read_sounds

_SECONDS_BETWEEN_NOISES = 1.0
_MOST_VOICES = 2000
"""Utterances of the training that babble is made of: each worker is told of them."""

_NUM_LOOKED_AT = 100

_log = logging.getLogger("kaldi")


def speeds(params: Params) -> tuple[Fraction, ...]:
    """The speeds of copies, as ratios of small integers."""
    return tuple(Fraction(s).limit_denominator(1000) for s in params.augment_speeds)


def plain_waveforms(params: Params) -> WaveformOptions | None:
    """How features are made, without augmentation; None: they are stored.

    Raises:
        InputError: `waveform_config` cannot be used.
    """
    if not params.waveform_features:
        return None
    options: WaveOptions
    if params.waveform_features == "mfcc":
        options = read_config(ComputeMfccOptions, params.waveform_config)
    else:
        options = read_config(ComputeFbankOptions, params.waveform_config)
    if options.vtln_map or options.vtln_warp != 1:
        raise InputError(
            f"{params.waveform_config}: VTLN is for stored features, not for those "
            "made while training"
        )
    return WaveformOptions(options)


def augmented_waveforms(params: Params, info: SpeakerInfo) -> WaveformOptions | None:
    """How features of the training are made, and augmented.

    Args:
        info: the utterances, of which babble is made if no speech is given.

    Raises:
        InputError: `waveform_config` or a list of sounds cannot be used.
    """
    plain = plain_waveforms(params)
    if plain is None:
        return None
    _warn_of_pipes(info, params.seed)
    rate = int(plain.features.sample_frequency)
    kinds: list[Rooms | Additions] = []
    if params.augment_reverb:
        responses = _read_lists(params.augment_reverb_lists, rate)
        kinds.append(Rooms(params.augment_reverb, responses))
    if params.augment_noise:
        kinds.append(
            Additions(
                params.augment_noise,
                _read_lists(params.augment_noise_lists, rate),
                params.augment_noise_snrs,
                interval=_SECONDS_BETWEEN_NOISES,
            )
        )
    if params.augment_music:
        music = _read_lists(params.augment_music_lists, rate)
        kinds.append(Additions(params.augment_music, music, params.augment_music_snrs))
    if params.augment_babble:
        voices = _read_lists(params.augment_babble_lists, rate)
        kinds.append(
            Additions(
                params.augment_babble,
                voices or [_voices(info, params.seed)],
                params.augment_babble_snrs,
                params.augment_babble_voices,
            )
        )
    augmentation = Augmentation(params.augment_clean, kinds) if kinds else None
    return WaveformOptions(plain.features, augmentation, speeds(params))


def masks(params: Params) -> Masks | None:
    """What is set to zero; None: nothing."""
    if not params.time_masks and not params.frequency_masks:
        return None
    return Masks(params.time_masks, params.frequency_masks)


def _read_lists(paths: tuple[str, ...], rate: int) -> SoundLists:
    lists = []
    for path in paths:
        lists.append(read_sounds(path))
        check_sounds(path, lists[-1], rate)
    return lists


def _voices(info: SpeakerInfo, seed: int) -> list[Sound]:
    """Utterances of the training, a random part of very many."""
    rows = np.arange(len(info.utterance))
    if len(rows) > _MOST_VOICES:
        rows = np.random.default_rng(seed).choice(rows, _MOST_VOICES, replace=False)
    return list(map(info.sound, rows.tolist()))


def _warn_of_pipes(info: SpeakerInfo, seed: int) -> None:
    """Tells of recordings whose samples cannot be sought, by a look at some."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(info.utterance), size=_NUM_LOOKED_AT).tolist()
    whole = [row for row in rows if seekable_file(info.rxfilename[row]) is None]
    if whole:
        _log.warning(
            "wav.scp: %d %% of the recordings are decoded whole for each segment, as "
            "'%s' is; sound files (wav, flac), or `flac -dcs FILE |`, are read faster",
            100 * len(whole) // len(rows),
            info.rxfilename[whole[0]],
        )
