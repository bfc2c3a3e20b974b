"""Drives a hub with the official Python MCP client, in both protocol eras.

usage: python_client.py URL-of-/mcp     the hub must have servers (e.g. `genimage serve --demo`)
"""

import asyncio
import base64
import sys
import time

from mcp import Client

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}


def check(condition, said):
    if not condition:
        raise AssertionError(said)


async def walk(url, mode, version):
    async with Client(url, mode=mode) as client:
        check(client.protocol_version == version, f"negotiated {client.protocol_version}")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in ("generate_image", "get_job", "cancel_job", "list_options"):
            check(name in tools, f"{name} is not listed: {sorted(tools)}")

        steps = []

        async def on_progress(progress, total, message):
            steps.append((progress, total, message))

        result = await client.call_tool(
            "generate_image",
            {"prompt": "a red fox", "seed": int(time.time() * 1000), "aspect_ratio": "16:9"},
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

        handle = await client.call_tool("generate_image", {"prompt": "a slow fox", "wait_s": 0})
        check(not handle.is_error, handle.content)
        text = handle.content[0].text
        job = next(word for word in text.replace("`", " ").replace('"', " ").split() if word.startswith("job_"))
        job = job.rstrip(".,;:)")
        later = await client.call_tool("get_job", {"job_id": job, "wait_s": 30})
        check(any(block.type == "image" for block in later.content), later.content)

        again = await client.call_tool("upscale_image", {"image": job, "wait_s": 60})
        check(any(block.type == "image" for block in again.content), again.content)
        described = await client.call_tool("describe_image", {"image": job})
        check(not described.is_error and len(described.content[0].text) > 10, described.content)

        wrong = await client.call_tool("generate_image", {"prompt": "x", "aspect_ratio": "5:1"})
        check(wrong.is_error and "21:9" in wrong.content[0].text, wrong.content)
        print(f"{mode}: {version}: list, generate with {len(steps)} progress messages, handle, upscale, describe, error: ok")


async def main():
    for mode, version in ERAS.items():
        await walk(sys.argv[1], mode, version)


asyncio.run(main())
