"""docs/kaldi_commands.md is what the commands say of themselves."""

import subprocess
import sys
from pathlib import Path

from misc.kaldi.main import MODULES

ROOT = Path(__file__).parents[3]


def test_the_page_is_up_to_date():
    program = ROOT / "misc/tools/describe_commands.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs/kaldi_commands.md").read_text()
    assert page == done.stdout, (
        "run python3 misc/tools/describe_commands.py > docs/kaldi_commands.md"
    )
    for names in MODULES.values():
        for name in names:
            section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
            assert "Usage: " in section and "e.g.: " in section, name
            assert str(ROOT) not in section
