#!/bin/sh
# Runs the script of utils/ or steps/ that this link is named after (see script.py).
# The project's own .venv is taken if there is one, else the python3 on the PATH.
here=$(dirname "$(readlink -f "$0")")
python=$here/../../.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" "$here/script.py" "$(basename "$0")" "$@"
