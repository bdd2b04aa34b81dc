"""Jobs of ordinary applications: with each library, imported at the top and inside the function."""

from __future__ import annotations

from textwrap import indent
from typing import NamedTuple


class Library(NamedTuple):
    """An ordinary use of a library.

    Attributes:
        package: the name under which it is imported.
        distribution: the name under which it is installed.
        setup: imports it, and does once what its manual asks for.
        job: uses it; `url` is that of an HTTP server.
    """

    package: str
    distribution: str
    setup: str
    job: str


LIBRARIES = {
    "tqdm": Library(
        "tqdm",
        "tqdm",
        "import io, tqdm\n",
        "sum(tqdm.tqdm(range(9), file=io.StringIO()))\n"
        "sum(tqdm.tqdm(range(9), disable=True))\n",
    ),
    "requests": Library(
        "requests",
        "requests",
        "import requests\n"
        "session = requests.Session()\n"
        "session.trust_env = False\n",
        "assert session.get(url).status_code == 200\n",
    ),
    "numpy": Library(
        "numpy",
        "numpy",
        "import numpy\n",
        "numbers = numpy.random.rand(200, 200)\n"
        "numpy.linalg.inv(numbers @ numbers)\n"
        "numpy.seterr(all='raise')\n",
    ),
    "pandas": Library(
        "pandas",
        "pandas",
        "import io, pandas\n",
        "table = pandas.read_csv(io.StringIO('day,sum\\n2026-01-02,3\\n2026-01-02,4\\n'))\n"
        "assert table.groupby('day')['sum'].sum().iloc[0] == 7\n",
    ),
    "sentry": Library(
        "sentry_sdk",
        "sentry-sdk",
        "import sentry_sdk\n"
        "if not sentry_sdk.is_initialized():\n"
        "    sentry_sdk.init(dsn=os.environ['SENTRY'], traces_sample_rate=1.0)\n",
        "with sentry_sdk.start_transaction(name='job'):\n"
        "    sentry_sdk.set_tag('shop', 'open')\n"
        "    sentry_sdk.capture_message('done')\n",
    ),
    "pillow": Library(
        "PIL",
        "Pillow",
        "import io\nfrom PIL import Image\n",
        "Image.new('RGB', (64, 64)).resize((32, 32)).save(io.BytesIO(), 'PNG')\n",
    ),
    "django": Library(
        "django",
        "Django",
        "import django\n"
        "from django.conf import settings\n"
        "if not settings.configured:\n"
        "    database = {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'shop.db'}\n"
        "    settings.configure(USE_TZ=True, TIME_ZONE='Asia/Tokyo',\n"
        "                       DATABASES={'default': database})\n"
        "    django.setup()\n"
        "from django.db import connection\n"
        "from django.utils import timezone, translation\n",
        "connection.cursor().execute('SELECT 1')\n"
        "seen = [translation.get_language(), str(timezone.get_current_timezone())]\n"
        "assert seen == ['en-us', 'Asia/Tokyo'], seen\n"
        "translation.activate('de')\n"
        "timezone.activate('Europe/Paris')\n",
    ),
    "joblib": Library(
        "joblib",
        "joblib",
        "import joblib\nfrom joblib.externals.loky import get_reusable_executor\n",
        "joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(n) for n in range(4))\n"
        "get_reusable_executor().shutdown()\n",
    ),
}  # fmt: skip

_END = "random.seed(1)\ndecimal.getcontext().prec = 3\nreturn os.getpid()\n"
_OBSERVE = """
import decimal, locale, os, random, signal, sys, threading, warnings
def observe(url):
    return {
        "pid": os.getpid(),
        "random": random.random(),
        "environment": {name: value for name, value in os.environ.items()},
        "directory": os.getcwd(),
        "path": sys.path,
        "locale": locale.setlocale(locale.LC_ALL),
        "decimal": decimal.getcontext().prec,
        "warnings": [repr(each) for each in warnings.filters],
        "hooks": [repr(each) for each in (sys.excepthook, threading.excepthook)],
        "handlers": [repr(signal.getsignal(n)) for n in range(1, 32)],
        "interpreter": [sys.getrecursionlimit(), sys.getswitchinterval()],
    }
"""


def module_of(library: Library, *, inside: bool) -> str:
    """The text of a module with the functions `work` and `observe`."""
    lines = library.job + _END
    if inside:
        return f"{_OBSERVE}\ndef work(url):\n{indent(library.setup + lines, '    ')}"
    return f"{_OBSERVE}\n{library.setup}\ndef work(url):\n{indent(lines, '    ')}"
