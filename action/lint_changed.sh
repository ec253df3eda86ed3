#!/usr/bin/env bash
# Lint the settings that were changed since BASE: annotations on the screen, SARIF in a file. The GitHub Action runs this.
#   lint_changed.sh BASE SARIF [FAIL_ON]
# Ends as vaelab lint does: 0 nothing as bad as FAIL_ON, 1 something is, 2 a file cannot be read.
set -euo pipefail
base=$1 sarif=$2 fail_on=${3:-critical}

# a checkout of one commit does not have the base yet
git cat-file -e "$base^{commit}" 2> /dev/null || git fetch --quiet --depth 1 origin "$base"
mapfile -d '' -t files < <(git diff -z --name-only --diff-filter=ACMR "$base" HEAD -- \
  '*.yaml' '*.yml' '*.py' '*.sh' '*.bash' '*.slurm')
if [ ${#files[@]} -eq 0 ]; then
  echo "No file that could hold settings was changed since $base."
  exit 0
fi
vaelab lint --skip-unknown --fail-on "$fail_on" --format sarif --output "$sarif" -- "${files[@]}" || true
echo "sarif=$sarif" >> "${GITHUB_OUTPUT:-/dev/null}"
vaelab lint --skip-unknown --fail-on "$fail_on" --format github -- "${files[@]}"
