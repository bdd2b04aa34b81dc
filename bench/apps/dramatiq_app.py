"""Jobs for dramatiq."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench import work

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_ADDRESS"]))
ACTORS = {
    name: dramatiq.actor(function, actor_name=name) for name, function in work.FUNCTIONS.items()
}
