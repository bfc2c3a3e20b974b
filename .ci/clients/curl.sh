#!/usr/bin/env bash
# Drives a hub with plain curl: JSON-RPC without MCP's headers, the JSON API, a picture by its URL.
# usage: curl.sh HUB-URL
set -euo pipefail
hub=$1
rpc() { curl -sS --max-time 60 "$hub/mcp" -d "$1"; }
call() { rpc "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"$1\",\"arguments\":$2}}"; }
field() { python3 -c 'import json,sys; v=json.load(sys.stdin)
for key in sys.argv[1].split("|"): v=v[int(key)] if key.isdigit() else v[key]
print(v if isinstance(v,str) else json.dumps(v))' "$1"; }
fail() { echo "$1" >&2; exit 1; }
record='result|_meta|io.genimage/result'
problem='result|_meta|io.genimage/error'

[ -n "$(rpc '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' | field 'result|tools|0|name')" ]
answer=$(rpc '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"generate_image","arguments":{"prompt":"a red fox","seed":7,"enhance":false}}}')
[ "$(field id <<<"$answer")" = a ]
case $(field 'result|content|0|text' <<<"$answer") in *"$hub/outputs/"*) ;; *) fail "no link: $answer" ;; esac
image=$(field "$record|images|0|id" <<<"$answer")

job=$(call generate_image '{"prompt":"a slow fox","enhance":false,"wait_s":0}' | field "$record|job")
[ "$(call get_job "{\"job_id\":\"$job\",\"wait_s\":50}" | field "$record|status")" = succeeded ]
[ "$(call upscale_image "{\"image\":\"$image\",\"wait_s\":50}" | field "$record|status")" = succeeded ]
[ -n "$(call describe_image "{\"image\":\"$image\"}" | field 'result|content|0|text')" ]

wrong=$(call generate_image '{"prompt":"x","enhance":false,"styles":["photo-makro"]}')
[ "$(field 'result|isError' <<<"$wrong")" = true ]
near=$(field "$problem|hint" <<<"$wrong" | sed -n 's/.*Did you mean `\([^`]*\)`.*/\1/p')
[ "$(call generate_image "{\"prompt\":\"x\",\"enhance\":false,\"styles\":[\"$near\"]}" | field "$record|status")" = succeeded ]
[ "$(call generate_image '{"prompt":"x","seed":-5}' | field "$problem|argument")" = seed ]
[ "$(rpc 'not json' | field 'error|code')" = -32700 ]
[ "$(curl -sS "$hub/mcp?inline=all" -d '{"jsonrpc":"2.0","id":1,"method":"ping"}' | field 'error|data|argument')" = inline ]

job=$(call generate_image '{"prompt":"nobody waits for this","enhance":false,"wait_s":0}' | field "$record|job")
[ "$(call cancel_job "{\"job_id\":\"$job\"}" | field "$record|status")" = cancelled ]

job=$(curl -sS "$hub/api/v1/jobs" -H 'content-type: application/json' -d '{"tool":"generate_image","arguments":{"prompt":"a blue whale"}}' | field id)
for _ in $(seq 300); do
  state=$(curl -sS "$hub/api/v1/jobs/$job" | field state)
  case $state in succeeded) break ;; failed | cancelled | expired) fail "the job ended $state" ;; esac
  sleep 0.1
done
[ "$state" = succeeded ]
url=$(curl -sS "$hub/api/v1/jobs/$job" | field 'images|0|url')
case $url in http*) ;; *) url=$hub$url ;; esac
picture=$(mktemp)
curl -sS -o "$picture" "$url"
[ "$(head -c 4 "$picture" | tail -c 3)" = PNG ]
rm "$picture"
echo "curl: list, generate, handle, upscale, describe, mended call, cancel, errors, job, picture: ok"
