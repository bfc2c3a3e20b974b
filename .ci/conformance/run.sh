#!/usr/bin/env bash
# Runs the official MCP conformance suites: all of them against the fixture, which must be perfect, and against the
# product, which lacks the suite's own tool names and is held to the baselines beside this script.
# Both servers must be up, without keys, on loopback.
#   run.sh PRODUCT_URL FIXTURE_URL      e.g. run.sh http://127.0.0.1:8001/mcp http://127.0.0.1:8391/mcp
# A baseline entry that passes again fails the run too, so that no entry outlives its reason.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: $0 PRODUCT_URL FIXTURE_URL" >&2
  exit 2
fi
product=$1
fixture=$2
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../cache/conformance
out=$cache/out
limit_s=180

# Each version has a folder of its own: npm keeps one version of a package per tree.
install() { # folder, package@version
  local folder=$cache/$1
  if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$2" ]; then
    mkdir -p "$folder"
    npm install --silent --no-save --no-audit --no-fund --prefix "$folder" "$2" >/dev/null
    echo "$2" >"$folder/.installed"
  fi
}
install node node@22.23.3
install suite-0.1.16 @modelcontextprotocol/conformance@0.1.16
install suite-0.2.0-alpha.12 @modelcontextprotocol/conformance@0.2.0-alpha.12
# The suite needs Node 22 or newer, whatever the machine has.
export PATH=$cache/node/node_modules/node/bin:$PATH

rm -rf "$out"
mkdir -p "$out"
failures=0

check() { # name, suite's version, arguments …
  local name=$1 suite=$cache/suite-$2/node_modules/.bin/conformance log=$out/$1.log
  shift 2
  if timeout "$limit_s" "$suite" server "$@" -o "$out/$name" >"$log" 2>&1; then
    printf 'ok    %-22s %s\n' "$name" "$(grep -E '^Total:' "$log" | tail -1)"
  else
    printf 'FAIL  %-22s see %s\n' "$name" "$log"
    sed -n '/nexpected\|tale/,$p' "$log" | head -40
    failures=$((failures + 1))
  fi
}

check fixture-0.1.16 0.1.16 --url "$fixture" --suite all
check fixture-2025-11-25 0.2.0-alpha.12 --url "$fixture" --requirements 2025-11-25
check fixture-2026-07-28 0.2.0-alpha.12 --url "$fixture" --requirements 2026-07-28
check product-0.1.16 0.1.16 --url "$product" --suite all --expected-failures "$here/baseline-0.1.16.yml"
check product-2025-11-25 0.2.0-alpha.12 --url "$product" --requirements 2025-11-25 --expected-failures "$here/baseline-2025-11-25.yml"
check product-2026-07-28 0.2.0-alpha.12 --url "$product" --requirements 2026-07-28 --expected-failures "$here/baseline-2026-07-28.yml"

if [ "$failures" -ne 0 ]; then
  echo "$failures of 6 suites failed"
  exit 1
fi
echo "all 6 suites as expected"
