"""Write the CRDs that the chart `flows` installs: `python -m scripts.objects`."""

from __future__ import annotations

from scripts.objects.crd import files

if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")
