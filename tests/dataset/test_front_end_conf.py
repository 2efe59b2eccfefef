"""Option files go with the features: to copies, parts and unions of directories."""

from dataset import data_dir
from dataset.front_end_conf import data_conf, read_conf

MFCC, VAD = "--num-ceps=30\n", "--vad-frames-context=2\n"


def make(folder, features=True, **files):
    folder.mkdir()
    (folder / "utt2spk").write_text(f"{folder.name} s\n")
    if features:
        (folder / "feats.scp").write_text(f"{folder.name} x.ark:3\n")
    (folder / "conf").mkdir()
    (folder / "conf/queue.conf").write_text("not ours\n")
    for name, text in files.items():
        (folder / f"conf/{name}.conf").write_text(text)
    return str(folder)


def known(folder):
    return read_conf(data_conf(str(folder)))


def test_copies_and_parts_have_them(tmp_path):
    source = make(tmp_path / "a", mfcc=MFCC, vad=VAD)
    out = make(tmp_path / "out", fbank="--of=an earlier copy\n")
    data_dir.copy(source, out, [data_dir.Renaming()])
    assert known(out) == {"mfcc.conf": MFCC, "vad.conf": VAD}
    assert (tmp_path / "out/conf/queue.conf").exists()
    assert not (tmp_path / "out/conf/fbank.conf").exists()
    data_dir.subset(source, str(tmp_path / "part"), {b"a"})
    assert known(tmp_path / "part") == {"mfcc.conf": MFCC, "vad.conf": VAD}
    bare = make(tmp_path / "bare", features=False, mfcc=MFCC)
    data_dir.copy(bare, out, [data_dir.Renaming()])
    assert known(out) == {}, "of features that are not there"


def test_a_union_has_what_its_parts_agree_in(tmp_path):
    clean = make(tmp_path / "clean", mfcc=MFCC, vad=VAD)
    noisy = make(tmp_path / "noisy", mfcc=MFCC)  # its vad.scp is that of the clean
    notes = data_dir.combine(str(tmp_path / "out"), [clean, noisy])
    assert known(tmp_path / "out") == {"mfcc.conf": MFCC, "vad.conf": VAD}
    assert not any("conf" in note for note in notes)
    other = make(tmp_path / "other", mfcc="--num-ceps=20\n", vad=VAD)
    notes = data_dir.combine(str(tmp_path / "out"), [clean, noisy, other])
    assert known(tmp_path / "out") == {"vad.conf": VAD}
    assert notes[-1] == (
        f"conf/mfcc.conf is left out: not the same in {clean} and {other}"
    )


def test_comments_may_be_in_any_encoding(tmp_path):
    source = make(tmp_path / "a")
    (tmp_path / "a/conf/mfcc.conf").write_bytes(MFCC.encode() + b"# f\xfcr Telefon\n")
    data_dir.subset(source, str(tmp_path / "out"), {b"a"})
    assert known(tmp_path / "out")["mfcc.conf"].startswith(MFCC)
