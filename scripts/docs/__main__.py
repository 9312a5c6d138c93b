"""Write the generated parts of the documentation: `python -m scripts.docs`."""

from __future__ import annotations

from scripts.docs.parts import REPOSITORY, pages

if __name__ == "__main__":
    for page, text in pages().items():
        (REPOSITORY / page).write_text(text, encoding="utf-8")
        print(f"wrote {page}")
