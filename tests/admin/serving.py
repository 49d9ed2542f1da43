"""The admin API in this process, behind a real listener."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from router.admin.api import application
from tests.control.desk import Desk

Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[Client]:
    """Serve the admin API of a desk."""
    await desk.begin()
    async with TestClient(TestServer(application(desk.control))) as client:
        yield client
