"""Lessons looked at as a reader would: six pages in a headless browser, at the width of a desk and of a phone.

For each page: no error in the console, nothing fetched, every player plays, every exercise with choices takes its right
choice and refuses a wrong one, by mouse and by keyboard, nothing is wider than the screen, the file is below 6 MB; and
a picture of it at either width. Needs Chromium and, in an environment of its own, `pip install playwright`:

    python benchmarks/lessons.py PAGE.html ... --shots FOLDER [--json FILE] [--chromium /usr/bin/chromium]

The pages are made before, by `clavilux teach`: playwright's environment has no Clavilux.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
LARGEST_BYTES = 6_000_000
PLAY = """async () => {
  const players = [...document.querySelectorAll("audio")]; let played = 0; const bad = [];
  for (const player of players) {
    player.muted = true;
    try {
      await player.play();
      const begin = performance.now();
      while (player.currentTime < 0.05 && performance.now() - begin < 5000) await new Promise(r => setTimeout(r, 30));
      if (player.currentTime >= 0.05 && player.duration > 0.3) played++; else bad.push(player.ariaLabel);
      player.pause();
    } catch (error) { bad.push(player.ariaLabel + ": " + error); }
  }
  return {players: players.length, played, bad};
}"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def look(browser, path: Path, shots: Path | None) -> dict:
    found = {"page": path.name, "bytes": path.stat().st_size, "problems": []}
    for name, (width, height) in WIDTHS.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        messages, fetched = [], []
        page.on(
            "console", lambda message, kept=messages: kept.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error, kept=messages: kept.append(str(error)))
        page.on("request", lambda request, kept=fetched: kept.append(request.url[:60]))
        page.goto(path.resolve().as_uri())
        page.wait_for_load_state("load")
        wider = page.evaluate(WIDER)
        if wider > 0:
            found["problems"].append(f"{name}: {wider} pixels wider than the screen")
        if shots is not None:
            page.screenshot(path=shots / f"{path.stem}-{name}.png", full_page=True)
        if name == "desktop":
            found |= page.evaluate(PLAY)
            found["problems"] += [f"does not play: {each}" for each in found.pop("bad")]
        found[f"answered ({name})"] = answer_all(page, found["problems"], keyboard=name == "phone")
        found["problems"] += [f"{name}: console: {each}" for each in messages]
        outside = [url for url in fetched if not url.startswith(("file:", "data:"))]
        found["problems"] += [f"{name}: fetched {url}" for url in outside]
        page.close()
    if found["bytes"] > LARGEST_BYTES:
        found["problems"].append(f"{found['bytes']} bytes")
    return found


def answer_all(page, problems: list[str], *, keyboard: bool) -> int:
    """Choose a wrong answer and then the right one of every exercise, and uncover those of the open ones."""
    answered = 0
    for ask in page.query_selector_all(".ask"):
        answer = ask.get_attribute("data-answer")
        details, question = ask.query_selector("details"), ask.query_selector("p").inner_text()[:60]
        if answer is None:
            press(ask.query_selector("summary"), keyboard)
        else:
            buttons = {each.get_attribute("value"): each for each in ask.query_selector_all("button")}
            wrong = next(each for value, each in buttons.items() if value != answer)
            press(wrong, keyboard)
            if (
                "Try once more" not in ask.query_selector(".said").inner_text()
                or details.get_attribute("open") is not None
            ):
                problems.append(f"a wrong answer is not refused: {question}")
            press(buttons[answer], keyboard)
            if not ask.query_selector(".said").inner_text().startswith("Yes"):
                problems.append(f"a right answer is not taken: {question}")
        if details.get_attribute("open") is None:
            problems.append(f"no answer is uncovered: {question}")
        else:
            answered += 1
    return answered


def press(element, keyboard: bool) -> None:
    if keyboard:
        element.focus()
        element.press("Enter")
    else:
        element.click()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--shots", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    asked = parser.parse_args()
    if asked.shots:
        asked.shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=asked.chromium, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        version = browser.version
        rows = [look(browser, path, asked.shots) for path in asked.pages]
        browser.close()
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))
    if asked.json:
        kept = json.loads(asked.json.read_text()) if asked.json.exists() else {}
        found = kept | {"chromium": version, "pages": rows}
        asked.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    sys.exit(bool(sum(len(row["problems"]) for row in rows)))


if __name__ == "__main__":
    main()
