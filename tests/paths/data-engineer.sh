#!/usr/bin/env bash
# A data engineer: did last night's table change, in which columns, and how does a pipeline know?
set -euo pipefail
status=0
elbo compare before.csv after.csv --check --out drift --report drift/result.md --report drift/junit.xml || status=$?
test "$status" = 3
grep -q "clicks | yes" drift/result.md
grep -q 'failures="2"' drift/junit.xml
test -s drift/columns.png
elbo reference before.csv --out reference.elbo
status=0
elbo compare reference.elbo after.csv --check --json > result.json || status=$?
test "$status" = 3
grep -q '"reject":true' result.json
elbo compare reference.elbo before.csv --check --quiet
