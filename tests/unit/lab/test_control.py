# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests over the control line: answers, refusals in a sentence, and nobody there."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lab.control import Control, ControlError, NotRunningError, ask
from lab.settings import Instance


@pytest.fixture
def where(tmp_path):
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    return Instance("try", 9, deep)


@pytest.fixture
def line(where):
    """A control line with two verbs, served from a thread."""

    async def double(number):
        return 2 * number

    async def refuse():
        raise ControlError("not today")

    async def hang():
        await asyncio.sleep(60)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    control = Control(where.home, {"double": double, "refuse": refuse, "hang": hang})
    asyncio.run_coroutine_threadsafe(control.start(), loop).result(5)
    yield control
    asyncio.run_coroutine_threadsafe(control.stop(), loop).result(5)
    for task in asyncio.all_tasks(loop):
        loop.call_soon_threadsafe(task.cancel)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def test_a_verb_is_answered_however_deep_the_folder_lies(line, where):
    assert len(str(where.home / "control.sock")) > 108
    assert ask(where, "double", number=21) == 42


def test_refusals_come_back_as_sentences(line, where):
    with pytest.raises(ControlError, match="not today"):
        ask(where, "refuse")
    with pytest.raises(ControlError, match="the lab knows double, hang, refuse"):
        ask(where, "dance")
    with pytest.raises(ControlError, match="unexpected keyword argument"):
        ask(where, "double", nombre=21)
    with pytest.raises(ControlError, match="did not answer 'hang' within 0 s"):
        ask(where, "hang", timeout=0.2)


def test_only_its_owner_may_speak_to_it(line, where):
    assert (where.home / "control.sock").stat().st_mode & 0o077 == 0


def test_nobody_there_is_said_with_the_remedy(where, tmp_path):
    for place in (where, Instance("try", 9, tmp_path / "nowhere")):
        with pytest.raises(NotRunningError, match="python -m lab --instance try up"):
            ask(place, "double", number=1)


def test_a_socket_that_a_killed_lab_left_is_replaced(where):
    async def pong():
        return "pong"

    async def twice():
        for _ in range(2):
            await Control(where.home, {"ping": pong}).start()
        return await asyncio.to_thread(ask, where, "ping")

    assert asyncio.run(twice()) == "pong"
