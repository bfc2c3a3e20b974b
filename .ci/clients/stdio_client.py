"""Drives `genimage mcp` over stdio with the official Python MCP client: as a carrier to a running hub, and with a
hub of its own.

usage: stdio_client.py PATH-TO-genimage HUB-URL
"""

import asyncio
import sys
import tempfile

from mcp import Client, StdioServerParameters


def check(condition, said):
    if not condition:
        raise AssertionError(said)


async def picture(name, parameters, mode):
    async with Client(parameters, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        check("generate_image" in tools, tools)
        result = await client.call_tool("generate_image", {"prompt": "a red fox", "wait_s": 60})
        check(not result.is_error, result.content)
        check(any(block.type == "image" for block in result.content), result.content)
        print(f"stdio, {name}, {mode}: a picture: ok")


async def main():
    binary, hub = sys.argv[1:3]
    for mode in ("legacy", "auto"):
        await picture("carried to a hub", StdioServerParameters(command=binary, args=["mcp", "--hub", hub]), mode)
        with tempfile.TemporaryDirectory() as folder:
            own = StdioServerParameters(command=binary, args=["mcp", "--demo", "--data-dir", folder])
            await picture("own hub", own, mode)


asyncio.run(main())
