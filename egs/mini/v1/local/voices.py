"""Artificial speakers: espeak-ng voice files with sampled properties, and their speech.

espeak-ng (GPLv3) is used as a separate program library, through its own wheel
`espeakng_loader` and ctypes; no part of it is copied. A voice file names an accent
(phonemes and pronunciation rules) and then scales pitch, formants, breath and the rest.
"""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataset.errors import InputError

NATIVE_RATE = 22050  # Hz, of all that espeak-ng's formant synthesis puts out
PROBE = "Seven bright boats sailed home."

_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000  # espeak_Initialize: output mode, option
_RATE, _VOLUME, _PITCH = 1, 2, 3  # espeak_SetParameter
_UTF8, _CHARACTER_POSITION = 1, 1  # espeak_Synth
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)

# The lines of a voice file that make an accent. English text is read by the rules of
# the language named, so the last ones give strong foreign accents.
_ACCENTS = (
    "language en-us\nphonemes en-us\ndictrules 3 6",
    "language en-us\nphonemes en-us-nyc\ndictrules 3 6",
    "language en-gb\ntunes s1 c1 q1 e1",
    "language en-gb-scotland\nphonemes en-sc\ndictrules 2 5 6 7",
    "language en-gb-x-rp\nphonemes en-rp",
    "language en-gb-x-gbclan\nphonemes en-n",
    "language en-gb-x-gbcwmd\nphonemes en-wm\ndictrules 6",
    "language en-029\nphonemes en-wi\ndictrules 8",
    "language de\ntunes s4 c1 q4 e1",
    "language nl",
    "language sv",
    "language es\ndictrules 1",
)
_FOREIGN = 4  # of them, the last ones

# How far speakers lie apart: deviations of logarithms, set so that mean and deviation
# of MFCC with an LDA give about 8 % EER.
F0, TRACT, FORMANT = 0.11, 0.038, 0.029


def sample_voice(rng: np.random.Generator, name: str) -> str:
    """The text of a voice file for one new speaker.

    A high voice goes with a short vocal tract, hence high formants; each formant then
    deviates by itself, as vocal tracts differ in shape too.
    """
    female = rng.random() < 0.5
    pitch = (205.0 if female else 115.0) * np.exp(rng.normal(0, F0))
    tract = (1.08 if female else 1.0) * np.exp(rng.normal(0, TRACT))
    native = len(_ACCENTS) - _FOREIGN
    foreign = rng.random() < 0.15
    accent = rng.integers(native, len(_ACCENTS)) if foreign else rng.integers(native)
    lines = [
        f"name {name}",
        _ACCENTS[accent],
        f"pitch {pitch:.0f} {pitch * rng.uniform(1.15, 1.6):.0f}",
        f"flutter {rng.integers(0, 8)}",
        f"roughness {rng.integers(0, 8)}",
        f"voicing {rng.uniform(60, 130):.0f}",
        f"consonants {rng.uniform(60, 140):.0f} {rng.uniform(70, 130):.0f}",
        f"intonation {rng.integers(1, 5)}",
        f"words {rng.integers(0, 3)}",
        _numbers("tone", _sample_tone(rng)),
        _numbers("stressAdd", rng.normal(0, 15, 8)),
        *(_formant(rng, number, tract) for number in range(9)),
    ]
    if rng.random() < 0.5:
        lines.append(_numbers("breath", [0, *rng.uniform(0, 8, 7)]))
    return "\n".join(lines) + "\n"


def _sample_tone(rng: np.random.Generator) -> list[float]:
    heights = np.array([170, 135, 110, 110]) * np.exp(rng.normal(0, 0.3, 4))
    frequencies = (600, 1200, 2000, 3000)
    pairs = zip(frequencies, heights.clip(20, 255), strict=True)
    return [number for pair in pairs for number in pair]


def _formant(rng: np.random.Generator, number: int, tract: float) -> str:
    frequency = 100 * tract * np.exp(rng.normal(0, FORMANT))
    height, width = 100 * np.exp(rng.normal(0, [0.25, 0.2]))
    return _numbers("formant", [number, frequency, height, width])


def _numbers(keyword: str, numbers: Sequence[float] | np.ndarray) -> str:
    return f"{keyword} " + " ".join(f"{number:.0f}" for number in numbers)


def make_data_folder(folder: Path) -> None:
    """A data folder for espeak-ng that holds its tables, but none of its voices.

    In its own folder espeak-ng lists at most 349 voice files and then takes a default
    voice without a word, so new voices need a place where they are the only ones.
    """
    source = Path(_loader().get_data_path())
    (folder / "voices").mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file():
            (folder / path.name).symlink_to(path.resolve())


def _loader():
    try:
        import espeakng_loader
    except ImportError:
        raise InputError(
            "The speech is made by espeak-ng, whose wheel is missing: "
            "run `pip install espeakng-loader`, or give a corpus of your own"
        ) from None
    return espeakng_loader


def speak(
    data_folder: Path,
    voice: str,
    text: str,
    words_per_minute: int = 175,
    pitch: int = 50,
    seed: int = 0,
) -> np.ndarray:
    """Reads a text aloud with a voice file of the data folder.

    The library is loaded anew each time (a millisecond). It keeps the phases of flutter
    and roughness, filter memories and its gain control from one utterance to the next,
    and no call resets them; now an utterance does not depend on those before it. The
    library has one global state: no threads.

    Args:
        voice: name of the file; lower case, as espeak-ng folds it.
        pitch: 0 to 99, 50 leaves the voice as it is.
        seed: of the breath noise.

    Returns:
        Samples between -1 and 1 at NATIVE_RATE.

    Raises:
        InputError: espeak-ng does not start, refuses the voice, or gives no sound.
    """
    chunks: list[bytes] = []

    @_CALLBACK
    def collect(samples, count, _events):
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    library = ctypes.CDLL(_loader().get_library_path())
    try:
        _initialise(library, data_folder)
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise InputError(f"espeak-ng does not take the voice {voice}")
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        library.espeak_SetParameter(_RATE, words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        # Half the usual volume: strong formants would overload it.
        library.espeak_SetParameter(_VOLUME, 50, 0)
        encoded = text.encode() + b"\0"
        library.espeak_Synth(
            encoded, len(encoded), 0, _CHARACTER_POSITION, 0, _UTF8, None, None
        )
    finally:
        _ctypes.dlclose(library._handle)
    samples = np.frombuffer(b"".join(chunks), np.int16) / 32768
    if not samples.any():
        raise InputError(f"espeak-ng gives no sound for voice {voice}: '{text}'")
    return samples


def _initialise(library: ctypes.CDLL, data_folder: Path) -> None:
    rate = library.espeak_Initialize(
        _SYNCHRONOUS, 0, str(data_folder).encode(), _DO_NOT_EXIT
    )
    if rate != NATIVE_RATE:
        raise InputError(
            f"espeak-ng does not start on its data in {data_folder}: expected "
            f"{NATIVE_RATE} Hz, got {rate}; if that path is long, set TMPDIR to a "
            "shorter one"
        )
