"""Draws the picture of the report at the top of README.md with headless Chromium.

    python docs/make_picture.py REPORT.html|FOLDER PICTURE.png

Of a folder the newest report is taken. `make picture` does this for the bundled clip.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
WIDTH, HEIGHT, DENSITY = 1180, 1560, 1.5
MAX_BYTES = 400_000


def find_report(place: Path) -> Path:
    """The report itself, or the newest one of a folder."""
    if place.is_file():
        return place
    reports = sorted(place.glob("*.html"), key=lambda path: path.stat().st_mtime)
    if not reports:
        sys.exit(f"no report (*.html) in {place}; make one with: poise coach CLIP --report {place}")
    return reports[-1]


def photograph(report: Path, picture: Path) -> None:
    """Write `picture`, a PNG of the top of the page in light colours."""
    browser = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if browser is None:
        sys.exit("no Chromium found; on Debian or Ubuntu: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        raw = Path(folder) / "raw.png"
        command = [
            browser,
            *FLAGS,
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--force-device-scale-factor={DENSITY}",
            f"--screenshot={raw}",
            report.resolve().as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if not raw.is_file():
            sys.exit(f"Chromium made no picture:\n{done.stderr[-2000:]}")
        image = Image.open(raw).convert("RGB")
    picture.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)
    size = picture.stat().st_size
    if size > MAX_BYTES:
        sys.exit(f"{picture} has {size} bytes, more than {MAX_BYTES}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="a report, or a folder with reports")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    options = parser.parse_args()
    report = find_report(options.report)
    photograph(report, options.picture)
    print(f"{options.picture}: {options.picture.stat().st_size // 1000} kB, of {report}")


if __name__ == "__main__":
    main()
