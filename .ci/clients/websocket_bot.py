"""Drives a hub as a bot of the older system did: JSON-RPC on /legacy/mcp, the result on a WebSocket.

usage: websocket_bot.py HUB-URL     the hub must have servers
"""

import asyncio
import json
import re
import sys
import time
import urllib.error
import urllib.request
import uuid

import websockets

LIMIT_S = 60
HUB = sys.argv[1]


def check(condition, said):
    if not condition:
        raise AssertionError(said)


def http(path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(HUB + path, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        return json.load(answer)


async def post(method, params=None):
    body = {"jsonrpc": "2.0", "id": "r1", "method": method, "params": params or {}}
    answer = await asyncio.to_thread(http, "/legacy/mcp", body)
    check(answer["id"] == "r1", answer)
    return answer


async def begin(tool, arguments):
    return await post("tools/call", {"name": tool, "arguments": arguments})


async def follow(start):
    """Everything that a stream says until the hub closes it."""
    check(start.get("method") == "stream/start", start)
    heard = []
    async with websockets.connect(start["params"]["ws_url"]) as socket:
        async with asyncio.timeout(LIMIT_S):
            async for text in socket:
                heard.append(json.loads(text))
    check([message["method"] for message in heard] == ["stream/chunk", "stream/end"], heard)
    return heard[0]["params"]


async def picture(tool, arguments):
    return (await follow(await begin(tool, arguments)))["result"]["content"][0]["source"]


async def main():
    tools = (await post("tools/list"))["result"]["tools"]
    check(any(tool["name"] == "generate_image" for tool in tools), tools)
    seed = time.time_ns() % 2**53
    start = await begin("generate_image", {"prompt": "a red fox", "seed": seed, "style_names": None, "enhance_prompt": False})
    first, second = await asyncio.gather(follow(start), follow(start))
    check(first == second, "two watchers hear the same")
    result = first["result"]
    check(result["structured_output"]["seed"] == seed and result["content"][0]["type"] == "image", result)
    url = result["content"][0]["source"]
    with urllib.request.urlopen(url) as file:
        check(file.read(4) == b"\x89PNG", url)
    check(await follow(start) == first, "a late joiner hears the same")
    check(await picture("upscale_image", {"input_image_url": url}) != url, "a larger picture is another one")
    words = await follow(await begin("describe_image", {"input_image_url": url}))
    check(len(words["result"]["content"][0]["text"]) > 10, words)

    wrong = {"prompt": "x", "seed": seed, "enhance_prompt": False, "style_names": ["photo-makro"]}
    refused = await begin("generate_image", wrong)
    near = re.search(r"Did you mean `([^`]+)`", refused["error"]["message"])
    check(near, refused)
    await picture("generate_image", {**wrong, "style_names": [near.group(1)]})

    start = await begin("generate_image", {"prompt": "nobody waits for this", "seed": seed, "enhance_prompt": False})
    job = f"job_{uuid.UUID(start['params']['stream_id']).hex}"
    await asyncio.to_thread(http, f"/api/v1/jobs/{job}", None, "DELETE")
    ended = await follow(start)
    check("cancelled" in ended["error"]["message"], ended)
    print("websocket bot: list, generate, two watchers, late joiner, upscale, describe, mended call, cancel: ok")


asyncio.run(main())
