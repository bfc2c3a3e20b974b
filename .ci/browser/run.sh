#!/usr/bin/env bash
# Opens the pages of a demo hub in headless Chromium, at desktop width in light and at phone width in dark colours, and
# submits the playground's form as a browser without script would. Fails on a page that does not render or that logs an
# error. SCREENSHOTS names a folder for the pictures; THEMES="light dark" takes both colours at both widths.
# usage: run.sh HUB-URL
set -euo pipefail
hub=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
shots=${SCREENSHOTS:-$work/shots}
mkdir -p "$shots"

pages=0
open_page() { # path width text-that-must-be-there
  local theme
  for theme in ${THEMES:-$([ "$2" = 390 ] && echo dark || echo light)}; do open_in "$@" "$theme"; done
  pages=$((pages + 1))
}

open_in() { # path width text theme
  local name scheme
  name=$(tr -c 'a-z0-9\n' '-' <<<"$1")-$2-$4
  scheme=$([ "$4" = dark ] && echo 0 || echo 1)
  timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update \
    --disable-sync --no-first-run --hide-scrollbars --user-data-dir="$work/profile" --enable-logging=stderr --v=0 \
    --blink-settings=preferredColorScheme="$scheme" --window-size="$2,1000" --screenshot="$shots/page$name.png" --dump-dom "$hub$1" \
    >"$work/dom.html" 2>"$work/log"
  grep -q "$3" "$work/dom.html" || { echo "$1 at $2 px does not show '$3'" >&2; exit 1; }
  if grep -E 'CONSOLE.*(Refused|Error|error)' "$work/log"; then
    echo "$1 logs errors" >&2
    exit 1
  fi
}

# The playground's form, without script: 303 to the job, whose page shows the picture in the end.
location=$(curl -sS -o /dev/null -w '%{redirect_url}' -H "Origin: $hub" "$hub/playground/generate_image" \
  --data-urlencode 'prompt=a red fox in the browser')
case $location in "$hub"/jobs/job_*) ;; *) echo "the form answered '$location' instead of a job" >&2; exit 1 ;; esac
job=${location#"$hub"}
for _ in $(seq 300); do
  case $(curl -sS "$location") in */outputs/img_*) break ;; esac
  sleep 0.1
done

curl -sS "$hub/workflows" >"$work/workflows.html"
sed -n 's|.*href="&#x2f;workflows&#x2f;\(wf_[0-9a-f]*\)".*|/workflows/\1|p' "$work/workflows.html" >"$work/workflows.txt"
workflow=$(head -1 "$work/workflows.txt")
curl -sS "$hub/servers" >"$work/servers.html"
sed -n 's|.*href="&#x2f;servers&#x2f;\(srv_[0-9a-f]*\)".*|/servers/\1|p' "$work/servers.html" >"$work/servers.txt"
server=$(head -1 "$work/servers.txt")
for width in 1280 390; do
  open_page / "$width" 'Dashboard'
  open_page /playground "$width" 'name="prompt"'
  open_page '/playground?tool=detail_image' "$width" 'name="region"'
  open_page '/playground?tool=generate_prompt' "$width" 'name="subject"'
  open_page /jobs "$width" 'a red fox in the browser'
  open_page "$job" "$width" '/outputs/img_'
  open_page '/jobs?state=succeeded&tool=generate_image&q=fox' "$width" 'a red fox in the browser'
  open_page /servers "$width" 'demo-1'
  open_page /servers/new "$width" 'Test first'
  open_page "$server" "$width" 'Checkpoints'
  open_page "$server/settings" "$width" 'Prompts at once'
  open_page /llm-servers "$width" 'Enhance prompts'
  open_page /llm-servers/new "$width" 'Shared GPU'
  open_page /settings "$width" 'queue.max_per_caller'
  open_page /settings/instructions "$width" 'The whole of it'
  open_page /statistics "$width" 'Jobs per day'
  open_page /connect "$width" '/mcp'
  open_page /gallery "$width" '/thumbs/img_'
  open_page /styles "$width" 'New style'
  open_page /styles/new "$width" 'a red fox in fresh snow'
  open_page /render-types "$width" 'servers'
  open_page /workflows "$width" 'Import a workflow'
  open_page "$workflow" "$width" 'graph-drawing'
done
echo "browser: $((pages / 2)) pages at 2 widths, form without script: ok"
