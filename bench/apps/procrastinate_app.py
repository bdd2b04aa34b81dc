"""Jobs for procrastinate."""

import os

from procrastinate import App, PsycopgConnector

from bench import work

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_ADDRESS"]))
for name, function in work.FUNCTIONS.items():
    app.task(name=name)(function)
