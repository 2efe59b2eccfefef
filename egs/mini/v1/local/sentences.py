"""Things to say: short phrases filled in from word lists."""

from __future__ import annotations

import numpy as np

_WORDS = {
    "number": "zero one two three four five six seven eight nine ten eleven twelve "
    "twenty thirty forty fifty ninety hundred".split(),
    "who": "the farmer|my neighbour|a young teacher|the old captain|our cousin|"
    "the baker|her brother|a quiet stranger|the doctor|his grandmother|everybody|"
    "the postman|nobody|the girl next door|a tired driver".split("|"),
    "does": "carried|painted|found|forgot|borrowed|measured|washed|followed|described|"
    "enjoyed|bought|hid|watched|threw away|listened to|asked for|joined".split("|"),
    "adjective": "yellow small broken heavy famous gentle purple noisy hollow bright "
    "frozen cheap ugly warm curious narrow golden empty".split(),
    "thing": "bridge|teapot|orchard|photograph|engine|violin|blanket|garden gate|"
    "ladder|coffee cup|umbrella|village church|fishing boat|newspaper|wheelbarrow|"
    "chocolate cake|pair of shoes|window|map of Africa|letter".split("|"),
    "where": "behind the house|near the river|under the table|in the kitchen|"
    "at the station|on the hill|across the valley|beside the fire|by the sea|"
    "between two rocks|outside the school|over there".split("|"),
    "when": "yesterday|this morning|in the middle of June|every Thursday|long ago|"
    "at half past five|before lunch|after the storm|last winter|again and again|"
    "just now|once a year".split("|"),
    "say": "please wait a moment|could you say that again|thank you very much|"
    "what a lovely evening|how far is it from here|I have no idea|"
    "they should be here soon|that would be a great help|never mind|"
    "we both laughed out loud|show me the other one|it was all his fault".split("|"),
}
_TEMPLATES = [
    template.split()
    for template in (
        "who does the adjective thing",
        "who does number adjective thing",
        "the adjective thing is where",
        "when who does it",
        "say",
        "number number number number",
        "where there was a thing",
        "say when",
        "the thing is too adjective for who",
    )
]


def sample_text(rng: np.random.Generator, letters: int) -> str:
    """Phrases one after another, until there are as many letters as asked for."""
    phrases: list[str] = []
    while sum(map(len, phrases)) < letters:
        template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
        phrases.append(" ".join(_fill(rng, word) for word in template))
    return ", ".join(phrases) + "."


def _fill(rng: np.random.Generator, word: str) -> str:
    choices = _WORDS.get(word, [word])
    return choices[rng.integers(len(choices))]
