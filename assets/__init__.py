"""The data that ships with the product: styles, help pages, categories and the demonstration model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ASSETS: Final = Path(__file__).resolve().parent
