"""Fonts for synthetic text, sorted by the scripts they can write.

Any TrueType or OpenType file under the system's font folders is used; the Debian
packages that the shipped model was trained with are listed in `debian_fonts.txt`
(`apt-get install $(cat training/synth/debian_fonts.txt)`). Where no font is found,
Pillow's built-in one writes Latin. Used by `training.synth.lines`.
"""

import json
import random
from pathlib import Path

from PIL import ImageFont

FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts")

# Script -> (letters to draw words from, as inclusive code point ranges; letters a font must have).
SCRIPTS: dict[str, tuple[tuple[tuple[int, int], ...], str]] = {
    "latin": (((0x41, 0x5A), (0x61, 0x7A)), "AQgz"),
    "cyrillic": (((0x410, 0x44F),), "ЖДя"),
    "greek": (((0x391, 0x3A1), (0x3A3, 0x3A9), (0x3B1, 0x3C9)), "Ωθπ"),
    "arabic": (((0x628, 0x63A), (0x641, 0x64A)), "عشم"),
    "hebrew": (((0x5D0, 0x5EA),), "אשל"),
    "devanagari": (((0x915, 0x939), (0x93E, 0x940)), "कशह"),
    "bengali": (((0x995, 0x9A8),), "কগম"),
    "tamil": (((0xB95, 0xB95), (0xB9A, 0xB9A), (0xBA3, 0xBA4), (0xBAE, 0xBB5)), "கமவ"),
    "thai": (((0xE01, 0xE2E),), "กทม"),
    "georgian": (((0x10D0, 0x10F0),), "აბკ"),
    "armenian": (((0x531, 0x556), (0x561, 0x586)), "ԱԲա"),
    "han": (((0x4E00, 0x5FFF), (0x6300, 0x6BFF)), "中国街"),
    "kana": (((0x3042, 0x308F), (0x30A2, 0x30EF)), "あカン"),
    "hangul": (((0xAC00, 0xCFFF),), "한글서"),
}
# Symbols, emoji, bar codes: not writing.
_NOT_WRITING = ("emoji", "symbol", "math", "music", "dingbat", "braille", "icon", "tuffyinf", "lastresort")
_FAMILY_LIMIT = 3  # files of one family; Noto alone has hundreds of weights


def _writes(font: ImageFont.FreeTypeFont, letters: str) -> bool:
    """Whether the font has a glyph of its own for every letter."""
    missing = bytes(font.getmask("\U0010fffe"))
    drawn = [bytes(font.getmask(letter)) for letter in letters]
    return all(mask != missing and any(mask) for mask in drawn) and len(set(drawn)) == len(drawn)


def find_fonts(cache: Path | None = None, seed: int = 0) -> dict[str, list[str]]:
    """Finds the fonts that write each script.

    Args:
        cache: JSON file in which the answer is kept; looking takes some seconds.
        seed: decides which files of a large family are used.

    Returns:
        Script name to sorted font paths; scripts nothing can write are left out.
        Empty if there is no font at all.
    """
    if cache is not None and cache.is_file():
        return json.loads(cache.read_text())
    files = sorted(
        path
        for folder in FONT_FOLDERS
        for pattern in ("*.ttf", "*.otf", "*.ttc")
        for path in folder.rglob(pattern)
    )
    random.Random(seed).shuffle(files)
    families: dict[str, int] = {}
    found: dict[str, list[str]] = {}
    for path in files:
        family = path.stem.split("-")[0].lower()
        if any(word in family for word in _NOT_WRITING) or families.get(family, 0) >= _FAMILY_LIMIT:
            continue
        try:
            font = ImageFont.truetype(str(path), 24)
            scripts = [name for name, (_, letters) in SCRIPTS.items() if _writes(font, letters)]
        except (OSError, ValueError):  # damaged or bitmap-only file
            continue
        if scripts:
            families[family] = families.get(family, 0) + 1
        for name in scripts:
            found.setdefault(name, []).append(str(path))
    found = {name: sorted(paths) for name, paths in sorted(found.items())}
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(found, indent=1))
    return found
