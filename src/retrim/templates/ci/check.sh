#!/bin/sh
# What CI runs for a change of this workspace: `.ci/check BASE`. BASE is the branch or commit that the change goes into.
# It needs git, Python, the whole history with its tags, and the DVC remote. It commits and pushes nothing.
set -eu
cd "$(dirname "$0")/.."
base=${1:?usage: .ci/check BASE}
export DO_NOT_TRACK=1 DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true

# The environment: packages and retrim as locked, each checked by its hash.
[ -d .venv ] || "${PYTHON:-python3}" -m venv .venv
PATH="$PWD/.venv/bin:$PATH"
export PATH
if ! cmp -s requirements.lock .venv/installed.lock; then
    grep -v '^\./data/code/' requirements.lock > .venv/packages.lock
    python -m pip install --quiet --no-deps --require-hashes -r .venv/packages.lock
    if grep '^\./data/code/' requirements.lock > .venv/retrim.lock; then
        dvc pull --quiet data/code.dvc
        python -m pip install --quiet --no-deps --require-hashes -r .venv/retrim.lock
    fi
    cp requirements.lock .venv/installed.lock
fi

echo "settings"
retrim settings > /dev/null
if [ -d tests ]; then
    echo "tests of this workspace"
    python -m pytest -q tests
fi
# Data checks and suite, then training, of the last three retrainings, before and after the change.
echo "retrainings before and after the change"
retrim policy backtest --base "$base" --to var/comment.md
