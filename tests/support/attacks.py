"""References that an account with access to the database may write into a row, and what they try.

In the text `{app}` is the folder of the application, whose package `myapp` and whose scripts the
operator allows; `{evil}` is a file beside it that must never be read, without its `.py`;
`{up}` climbs from there to the root, and `{library}` is Python's own module
`subprocess`, without its `.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Attack(NamedTuple):
    """One row: what its columns hold."""

    what: str
    module: str
    name: str
    file: str | None = None


ALLOW = ("myapp.*", "{app}/*.py")

ATTACKS = (
    # A path that fits a pattern and names a file of another folder.
    Attack("a path that begins as a module", "__main__", "call", "myapp.x/{up}{library}.py"),
    Attack("the same without a script's module", "x", "call", "myapp.x/{up}{library}.py"),
    Attack("a path as the module", "myapp./{up}{evil}.py", "work"),
    Attack("a path with a suffix as the module", "myapp.{evil}.py", "work"),
    Attack("up from the allowed folder", "__main__", "work", "{app}/../{name}.py"),
    Attack("up and down again", "__main__", "work", "{app}/../app/../{name}.py"),
    Attack("up to the root", "__main__", "work", "{app}/{up}{evil}.py"),
    Attack("up through a file", "__main__", "work", "{app}/run.py/../../{name}.py"),
    Attack("a part that is a dot", "__main__", "work", "{app}/./link/{name}.py"),
    Attack("an empty part", "__main__", "work", "{app}//{name}.py"),
    Attack("two slashes at the front", "__main__", "work", "/{app}/run.py"),
    Attack("a relative path", "__main__", "work", "myapp.py"),
    Attack("a relative path to the script", "__main__", "work", "./app/run.py"),
    Attack("no path at all", "myapp", "work", ""),
    Attack("a path that ends in a slash", "__main__", "work", "{app}/run.py/"),
    Attack("a path with a null character", "__main__", "work", "{app}/run.py\0{evil}.py"),
    Attack("a null character and an end that fits", "__main__", "work", "{evil}.py\0.py"),
    Attack("a script that is not Python source", "__main__", "work", "{app}/lib.so"),
    Attack("a script with white space at its end", "__main__", "work", "{app}/run.py "),
    Attack("a home folder", "__main__", "work", "~/{name}.py"),
    # Scripts of the allowed folder under another module's name, and the other way round.
    Attack("a script that poses as a module", "myapp.tasks", "send", "{evil}.py"),
    Attack("a module that poses as a script", "subprocess", "call", "{app}/run.py"),
    Attack("what a script has only imported", "__main__", "call", "{app}/run.py"),
    Attack("a class that a script has only imported", "__main__", "Popen", "{app}/run.py"),
    # Module names.
    Attack("a module of Python", "subprocess", "call"),
    Attack("a module whose name only begins alike", "myapp2.tasks", "send"),
    Attack("a relative module", ".myapp.tasks", "send"),
    Attack("a module with an empty part", "myapp..tasks", "send"),
    Attack("a module that ends in a dot", "myapp.", "send"),
    Attack("a module with a colon", "subprocess:call,myapp.", "send"),
    Attack("a module with white space", " subprocess", "call"),
    Attack("a module with a line feed", "myapp.tasks\n", "send"),
    Attack("a module with a null character", "myapp.tasks\0", "send"),
    Attack("a module named as a file in the working directory", "myapp.py", "work"),
    Attack("no module", "", "myapp.tasks.send"),
    Attack("the worker's own module", "__main__", "main"),
    Attack("a module of the daemon", "gigqd.__main__", "main"),
    # Names in an allowed module.
    Attack("what a module has only imported", "myapp.tasks", "call"),
    Attack("a class that a module has only imported", "myapp.tasks", "Popen"),
    Attack("a module that a module has imported", "myapp.tasks", "subprocess.call"),
    Attack("a method of a class that was only imported", "myapp.tasks", "datetime.fromisoformat"),
    Attack("a static method that a class inherits", "myapp.tasks", "Subclass.shout"),
    Attack("what Python keeps of a class", "myapp.tasks", "Subclass.__subclasses__"),
    Attack("the class of a class", "myapp.tasks", "Subclass.__class__"),
    Attack("what Python keeps of a module", "myapp.tasks", "__loader__.get_data"),
    Attack("the built-in functions", "myapp.tasks", "__builtins__.eval"),
    Attack("no name", "myapp.tasks", ""),
    Attack("a name that ends in a dot", "myapp.tasks", "send."),
    Attack("a name with a call", "myapp.tasks", "call(['true'])"),
    Attack("a name with a path", "myapp.tasks", "../{name}.py"),
)  # fmt: skip

FINE = (
    Attack("a function of an allowed module", "myapp.tasks", "send"),
    Attack("a static method of an allowed class", "myapp.tasks", "Subclass.own"),
    Attack("a function of an allowed script", "__main__", "send", "{app}/run.py"),
    Attack("a script behind a link in the allowed folder", "__main__", "send", "{app}/link/run.py"),
)
