#!/usr/bin/env bash
# Drives a hub with plain curl: JSON-RPC without MCP's headers, the JSON API, a picture by its URL.
# usage: curl.sh HUB-URL
set -euo pipefail
hub=$1
rpc() { curl -sS --max-time 60 "$hub/mcp" -d "$1"; }
field() { python3 -c 'import json,sys; v=json.load(sys.stdin)
for key in sys.argv[1].split("."): v=v[int(key)] if key.isdigit() else v[key]
print(v if isinstance(v,str) else json.dumps(v))' "$1"; }

[ -n "$(rpc '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' | field result.tools.0.name)" ]
answer=$(rpc '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a red fox","seed":7,"enhance":false}}}')
[ "$(field id <<<"$answer")" = a ]
case $(field result.content.0.text <<<"$answer") in *"$hub/outputs/"*) ;; *) echo "no link: $answer" >&2; exit 1 ;; esac
wrong=$(rpc '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"x","seed":-5}}}')
[ "$(field result.isError <<<"$wrong")" = true ]
[ "$(rpc 'not json' | field error.code)" = -32700 ]

job=$(curl -sS "$hub/api/v1/jobs" -H 'content-type: application/json' -d '{"tool":"generate_image","arguments":{"prompt":"a blue whale"}}' | field id)
for _ in $(seq 300); do
  state=$(curl -sS "$hub/api/v1/jobs/$job" | field state)
  case $state in succeeded) break ;; failed | cancelled | expired) echo "the job ended $state" >&2; exit 1 ;; esac
  sleep 0.1
done
[ "$state" = succeeded ]
url=$(curl -sS "$hub/api/v1/jobs/$job" | field images.0.url)
case $url in http*) ;; *) url=$hub$url ;; esac
picture=$(mktemp)
curl -sS -o "$picture" "$url"
[ "$(head -c 4 "$picture" | tail -c 3)" = PNG ]
rm "$picture"
echo "curl: list, generate, errors, job, picture: ok"
