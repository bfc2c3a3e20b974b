"""Drives a hub with the official Python MCP client, in both protocol eras.

usage: python_client.py URL-of-/mcp     the hub must have servers (e.g. `genimage serve --demo`)
"""

import asyncio
import base64
import re
import sys
import time

from mcp import Client

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
LIMIT_S = 60


def check(condition, said):
    if not condition:
        raise AssertionError(said)


def record(result, key="result"):
    return result.meta[f"io.genimage/{key}"]


def mend(arguments, result):
    """What a caller can do that knows nothing but the error."""
    error = record(result, "error")
    near = re.search(r"Did you mean `([^`]+)`", result.content[0].text)
    value = near.group(1) if near else error["valid_values"][0]
    name = error["argument"]
    return {**arguments, name: [value] if isinstance(arguments[name], list) else value}


async def cancelled(client, seed):
    begun = asyncio.Event()

    async def on_progress(progress, total, message):
        begun.set()

    arguments = {"prompt": "nobody waits for this", "enhance": False, "seed": seed, "idempotency_key": f"cancel {seed}"}
    call = asyncio.create_task(client.call_tool("generate_image", arguments, progress_callback=on_progress))
    await asyncio.wait_for(begun.wait(), LIMIT_S)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    # The same key finds the same job, and what became of it.
    end = time.monotonic() + LIMIT_S
    while True:
        found = await client.call_tool("generate_image", {**arguments, "wait_s": 0})
        if found.is_error and record(found, "error")["code"] == "cancelled":
            return
        check(time.monotonic() < end and record(found)["status"] == "running", f"cancelled, but {found.content[0].text}")
        await asyncio.sleep(0.05)


async def walk(url, mode, version):
    async with Client(url, mode=mode) as client:
        check(client.protocol_version == version, f"negotiated {client.protocol_version}")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in ("generate_image", "get_job", "cancel_job", "list_options"):
            check(name in tools, f"{name} is not listed: {sorted(tools)}")
        steps = []

        async def on_progress(progress, total, message):
            steps.append((progress, total, message))

        seed = time.time_ns() % 2**52
        result = await client.call_tool(
            "generate_image",
            {"prompt": "a red fox", "seed": seed, "aspect_ratio": "16:9", "enhance": False},
            progress_callback=on_progress,
        )
        check(not result.is_error, result.content)
        kinds = [block.type for block in result.content]
        check(kinds[0] == "text" and "image" in kinds and "resource_link" in kinds, kinds)
        picture = next(block for block in result.content if block.type == "image")
        check(len(base64.b64decode(picture.data)) > 1000, "the preview is empty")
        numbers = [step[0] for step in steps]
        check(len(numbers) >= 2 and numbers == sorted(set(numbers)), f"progress must rise: {numbers}")
        link = next(block for block in result.content if block.type == "resource_link")
        read = await client.read_resource(str(link.uri))
        check(len(base64.b64decode(read.contents[0].blob)) > 1000, "the resource is empty")

        handle = await client.call_tool("generate_image", {"prompt": "a slow fox", "wait_s": 0, "seed": seed, "enhance": False})
        check(not handle.is_error and record(handle)["status"] == "running", handle.content)
        job = record(handle)["job"]
        check(job in handle.content[0].text, handle.content)
        later = await client.call_tool("get_job", {"job_id": job, "wait_s": LIMIT_S})
        check(any(block.type == "image" for block in later.content), later.content)

        image = record(later)["images"][0]["id"]
        again = await client.call_tool("upscale_image", {"image": image, "wait_s": LIMIT_S})
        check(any(block.type == "image" for block in again.content), again.content)
        described = await client.call_tool("describe_image", {"image": image})
        check(not described.is_error and len(described.content[0].text) > 10, described.content)

        for wrong in ({"styles": ["photo-makro"]}, {"aspect_ratio": "5:1"}):
            arguments = {"prompt": "x", "enhance": False, "seed": seed + 1, **wrong}
            refused = await client.call_tool("generate_image", arguments)
            check(refused.is_error, refused.content)
            mended = await client.call_tool("generate_image", mend(arguments, refused))
            check(not mended.is_error, mended.content)

        await cancelled(client, seed + 2)
        print(f"python, {mode}: {version}: list, generate with {len(steps)} progress messages, handle, upscale, describe, "
              "mended call, cancel: ok")


async def main():
    await asyncio.gather(*(walk(sys.argv[1], mode, version) for mode, version in ERAS.items()))


asyncio.run(main())
