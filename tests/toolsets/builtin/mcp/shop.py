"""An MCP server: a program that speaks over its standard streams, or an application for HTTP."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


def made() -> MCPServer:
    shop = MCPServer("shop")

    @shop.tool(annotations=ToolAnnotations(read_only_hint=True))
    def stock(item: str, warehouse: int = 1) -> dict[str, Any]:
        """How many of an item there are."""
        return {"item": item, "warehouse": warehouse, "count": 7}

    @shop.tool(annotations=ToolAnnotations(destructive_hint=False, idempotent_hint=True))
    def order(item: str) -> str:
        """Order an item."""
        return f"ordered {item}"

    @shop.tool()
    def discard(item: str) -> str:
        """Throw an item away."""
        return f"discarded {item}"

    @shop.tool()
    def break_down() -> str:
        """Fail."""
        raise ToolError("the shelf fell over")

    @shop.tool()
    def down() -> str:
        """Go downstairs."""
        return "downstairs"

    @shop.tool(structured_output=False)
    def picture() -> Image:
        """Look at the shop."""
        return Image(data=PICTURE, format="png")

    @shop.tool()
    def surroundings() -> dict[str, Any]:
        """What this program sees of the machine."""
        sys.stderr.write(f"looking around with {os.environ.get('SHOP_KEY')}\n")
        sys.stderr.flush()
        return {
            "environment": dict(os.environ),
            "etc": sorted(path.name for path in Path("/etc").iterdir()),
            "workspace": sorted(path.name for path in Path.cwd().iterdir()),
            "network": _reached(),
        }

    @shop.tool()
    def garble() -> str:
        """Say something that is no message, and then something that is."""
        os.write(1, b"\xff\xfe no message\n{}\n[]\n")
        return "clear again"

    @shop.tool()
    def collapse() -> str:
        """End at once."""
        os._exit(3)

    return shop


def _reached() -> bool:
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ["SHOP_PORT"])), timeout=1):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    Path("started").write_text(str(os.getpid()))
    made().run()
