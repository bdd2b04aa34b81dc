"""Write the generated pages: `python -m reference`."""

from __future__ import annotations

from reference.markdown import ROOT
from reference.pages import texts

for name, text in texts().items():
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(name)
