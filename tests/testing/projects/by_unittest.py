import unittest

import shop

from aioq.testing import TestKit


class TestIt(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.kit = await self.enterAsyncContext(TestKit())

    async def test_it(self):
        await shop.use(self.kit, 4)

    async def test_it_again(self):
        await shop.use(self.kit, 5)

    async def test_it_once_more(self):
        await shop.use(self.kit, 6)
