"""The code blocks of the page `docs/api/core.md`, which is the page that gigq was built to."""

from __future__ import annotations

import ast
import re
import sqlite3
import sys
import textwrap
import types
from dataclasses import dataclass
from pathlib import Path

PARTS = re.compile(r"^## ([^\n]+)$|^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = Path(__file__).parents[2] / "docs" / "api" / "core.md"

# What the page leaves out of its blocks, as a reader would complete them.
REST_OF_CLAIM = '''
            job = cursor.fetchone()
            if not job:
                conn.rollback()
                return None
            now = datetime.datetime.now().isoformat()
            execution_id = str(uuid.uuid4())
            conn.execute(
                """
                UPDATE jobs SET status = ?, attempts = attempts + 1, worker_id = ?,
                    started_at = ?, updated_at = ?
                WHERE id = ?
                """,
                (JobStatus.RUNNING.value, self.worker_id, now, now, job["id"]),
            )
            if RECORD_EXECUTION:
                conn.execute(
                    """
                    INSERT INTO job_executions (id, job_id, worker_id, status, started_at)
                    VALUES (?, ?, ?, ?, ?)
                    """,
                    (execution_id, job["id"], self.worker_id, JobStatus.RUNNING.value, now),
                )
            conn.commit()
            result = dict(conn.execute("SELECT * FROM jobs WHERE id = ?", (job["id"],)).fetchone())
            if RECORD_EXECUTION:
                result["execution_id"] = execution_id
            return result
        except sqlite3.Error:
            conn.rollback()
            return None
'''
REST_OF_SCHEMA = """
    function_name TEXT NOT NULL, function_module TEXT NOT NULL, params TEXT,
    priority INTEGER DEFAULT 0, dependencies TEXT, max_attempts INTEGER DEFAULT 3,
    timeout INTEGER DEFAULT 300, description TEXT, status TEXT NOT NULL, created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL, attempts INTEGER DEFAULT 0, result TEXT, error TEXT,
    started_at TEXT, completed_at TEXT, worker_id TEXT, pass_parent_results INTEGER,
    retry_delay INTEGER DEFAULT 0, retry_after TEXT
"""


@dataclass(frozen=True)
class Block:
    """A code block and the heading of the class that it stands under."""

    number: int
    owner: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def is_signature(self) -> bool:
        """Whether it only shows what something looks like, with a docstring for a body."""
        if "PrioritizedWorker" in self.source:
            return False
        (first, *others) = self.tree.body
        if others or not isinstance(first, ast.ClassDef | ast.FunctionDef):
            return False
        functions = [node for node in ast.walk(first) if isinstance(node, ast.FunctionDef)]
        return all(len(f.body) == 1 and ast.get_docstring(f) for f in functions)


def blocks() -> list[Block]:
    found, owner = [], ""
    for part in PARTS.finditer(PAGE.read_text()):
        if part[1]:
            owner = part[1]
        else:
            found.append(Block(len(found) + 1, owner, part[2]))
    return found


def block_with(text: str) -> Block:
    (found,) = [block for block in blocks() if text in block.source]
    return found


def run_block(source: str, name: str, **given: object) -> types.ModuleType:
    """Run a block as a module of its own, whose functions a worker can import."""
    module = types.ModuleType(name)
    module.__dict__.update(given)
    sys.modules[name] = module
    exec(compile(textwrap.dedent(source), f"{PAGE}:{name}", "exec"), module.__dict__)
    return module


class Psycopg2Connection(sqlite3.Connection):
    """SQLite in the clothes of psycopg2: the page's fragment with its schema completed."""

    def cursor(self, *args: object, **kwargs: object) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(CompletingCursor)


class CompletingCursor(sqlite3.Cursor):
    def execute(self, sql: str, *params: object) -> sqlite3.Cursor:  # type: ignore[override]
        return super().execute(sql.replace("-- Rest of the schema...", REST_OF_SCHEMA), *params)
