"""The grammar of rspecifiers and wspecifiers."""

import pytest

from dataset.kaldi_specifier import is_rspecifier, is_wspecifier, parse_wspecifier


@pytest.mark.parametrize(
    "text, reads, writes",
    [
        ("ark:-", True, True),
        ("ark:", True, True),
        ("scp:x.scp", True, True),
        ("ark,s,cs:x", True, False),
        ("s,cs,ark:x", True, False),
        ("ark,o,s,p,np,ns,bg:cat x |", True, False),
        ("ark,t:-", True, True),
        ("ark,t,f:| cat", False, True),
        ("ark,scp:a,b", False, True),
        ("ark,scp,t:a,b", False, True),
        ("scp,ark:b,a", False, False),
        ("ark,ark:x", False, False),
        ("x.ark", False, False),
        ("t:x", False, False),
        ("ark,x:y", False, False),
        ("ark :y", False, False),
        ("ark:y ", False, False),
        ("C:/x.ark", False, False),
        ("", False, False),
        (":", False, False),
    ],
)
def test_classification(text, reads, writes):
    assert (is_rspecifier(text), is_wspecifier(text)) == (reads, writes)


@pytest.mark.parametrize(
    "text, options",
    [
        ("ark,t:x", {"t"}),
        ("ark,t,b:x", {"b"}),
        ("ark,b,t:x", {"t"}),
        ("ark,f,nf:x", {"nf"}),
        ("ark,nf,f:x", {"nf", "f"}),
    ],
)
def test_later_options_take_back_earlier_ones(text, options):
    assert parse_wspecifier(text).options == options
