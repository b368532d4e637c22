"""One page of HTML that holds all it shows: text, tables, pictures, sounds and questions that answer.

Knows HTML. Does not know what a page is about. Nothing is fetched: pictures and sounds are data in the page, the style
and the few lines of script too. Without the script answers are shown by the browser's own `<details>`.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence

MEDIA = {
    ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac", ".wav": "audio/wav", ".png": "image/png",
    ".jpg": "image/jpeg", ".webp": "image/webp",
}  # fmt: skip
_NARROW = 5  # columns of a table that a phone can show
_STYLE = """
:root{color-scheme:light dark;--ink:#222;--paper:#fdfcf9;--line:#d9d4c7;--soft:#f2eee4;--link:#2f5d8a;--good:#1d7a3e;
--bad:#b3402c}
@media(prefers-color-scheme:dark){:root{--ink:#e8e4da;--paper:#1c1c1e;--line:#45433e;--soft:#29282a;--link:#8ab8e6;
--good:#6fcf8f;--bad:#f0907c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.55 Georgia,"Times New Roman",serif}
main{max-width:46rem;margin:0 auto;padding:1.2rem 1rem 4rem}
h1{font-size:1.8rem;line-height:1.2;margin:.6rem 0}h2{font-size:1.35rem;margin:2.4rem 0 .5rem;border-top:1px solid
var(--line);padding-top:1.2rem}h3{font-size:1.08rem;margin:1.4rem 0 .3rem}
p{margin:.6rem 0}.lead{font-size:1.1rem}small,figcaption,nav,.from{font-size:.88rem}
nav a{display:inline-block;margin:0 .9rem .3rem 0}a{color:var(--link)}
figure{margin:1rem 0}figcaption{margin-top:.25rem}figure>svg,figure>img{display:block;width:100%;
height:auto;border-radius:4px}figure>img{max-height:34rem;object-fit:contain;object-position:left}
figure.wide{overflow-x:auto}figure.wide>svg{min-width:38rem}img.pixels{image-rendering:pixelated}
audio{display:block;width:100%;max-width:30rem;margin:.2rem 0}
.scroll{overflow-x:auto}table.wide{min-width:42rem}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.28rem .6rem .28rem 0;border-bottom:1px solid var(--line);vertical-align:top}
.row{display:grid;gap:.2rem 1.2rem;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr))}.row>*{min-width:0}
.row.small{grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr))}
.ask{background:var(--soft);border-radius:8px;padding:.7rem .9rem;margin:.9rem 0}
.ask p{margin:.2rem 0 .4rem}.choices{display:flex;flex-wrap:wrap;gap:.45rem;margin:.4rem 0}
button{font:inherit;font-size:.95rem;padding:.45rem .8rem;border:1px solid var(--line);border-radius:6px;
background:var(--paper);color:var(--ink);cursor:pointer;min-height:2.6rem}
button:focus-visible,summary:focus-visible,a:focus-visible,audio:focus-visible{outline:3px solid var(--link);
outline-offset:2px}
button.right{border-color:var(--good);box-shadow:inset 0 0 0 2px var(--good)}
button.wrong{border-color:var(--bad);box-shadow:inset 0 0 0 2px var(--bad)}
.said{min-height:1.5em}.said.good{color:var(--good)}.said.bad{color:var(--bad)}summary{cursor:pointer}
svg text{font-family:Georgia,"Times New Roman",serif}
"""
_SCRIPT = """
document.querySelectorAll(".ask[data-answer]").forEach(function(ask){
 var said=ask.querySelector(".said"),open=ask.querySelector("details");
 ask.querySelectorAll("button").forEach(function(button){button.addEventListener("click",function(){
  var right=button.value===ask.dataset.answer;
  button.classList.add(right?"right":"wrong");button.setAttribute("aria-pressed","true");
  said.className="said "+(right?"good":"bad");
  said.textContent=right?"Yes, "+button.textContent+".":"Not "+button.textContent+". Try once more.";
  if(right)open.open=true;});});});
document.addEventListener("play",function(event){document.querySelectorAll("audio").forEach(function(other){
 if(other!==event.target)other.pause();});},true);
"""


def page(title: str, body: str, *, language: str = "en") -> str:
    """A whole document around a body of HTML."""
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{html.escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def text(words: str) -> str:
    """Words as HTML: `*word*` is emphasis, all else as it is written."""
    return re.sub(r"\*([^*\n]+)\*", r"<em>\1</em>", html.escape(words, quote=False))


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph; `kind` is a class of the style, such as "lead"."""
    return f"<p{_class(kind)}>{text(words)}</p>"


def heading(words: str, level: int = 2, name: str = "") -> str:
    """A heading of level 1 to 3, with a name to link to."""
    mark = f' id="{html.escape(name)}"' if name else ""
    return f"<h{level}{mark}>{text(words)}</h{level}>"


def links(targets: Sequence[tuple[str, str]]) -> str:
    """A line of links to (name, words) of the page's own headings."""
    inside = "".join(f'<a href="#{html.escape(name)}">{text(words)}</a>' for name, words in targets)
    return f'<nav aria-label="Parts of the page">{inside}</nav>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of words, which scrolls by itself where a screen is narrow; one of many columns keeps its width there."""
    top = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    body = f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody>"
    kind = _class("wide" if len(head) > _NARROW else "")
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table"><table{kind}>{body}</table></div>'


def data_url(payload: bytes, ending: str) -> str:
    """A file as an address that holds it. KeyError for an ending that is not among `MEDIA`."""
    return f"data:{MEDIA[ending]};base64,{base64.b64encode(payload).decode()}"


def sound(payload: bytes, ending: str, caption: str) -> str:
    """A player of a sound file, with what is heard written above it."""
    words = text(caption)
    label = html.escape(re.sub(r"\*", "", caption))
    player = f'<audio controls preload="metadata" aria-label="{label}" src="{data_url(payload, ending)}"></audio>'
    return f"<figure><figcaption>{words}</figcaption>{player}</figure>"


def picture(payload: bytes, ending: str, alt: str, caption: str = "", *, pixels: bool = False) -> str:
    """A picture file; `pixels` keeps the edges of the pixels of a small one."""
    kind = _class("pixels" if pixels else "")
    image = f'<img{kind} alt="{html.escape(alt)}" src="{data_url(payload, ending)}">'
    return f"<figure>{image}{_caption(caption)}</figure>"


def drawing(svg: str, caption: str = "", *, wide: bool = False) -> str:
    """An SVG, as it is; a wide one scrolls where a screen is narrow."""
    more = ' class="wide" tabindex="0" role="region" aria-label="Drawing"' if wide else ""
    return f"<figure{more}>{svg}{_caption(caption)}</figure>"


def row(parts: Sequence[str], *, small: bool = False) -> str:
    """Parts side by side, one under another where a screen is narrow; small ones are five in a row, two there."""
    return (
        f"<div{_class('row small' if small else 'row')}>" + "".join(f"<div>{part}</div>" for part in parts) + "</div>"
    )


def question(words: str, inside: str, choices: Sequence[str], answer: str, why: str, after: str = "") -> str:
    """A question: with choices a button for each, one of which is the answer; without, an answer to uncover.

    Args:
        words: what is asked.
        inside: HTML between the question and its answers, such as a sound.
        choices: what can be chosen.
        answer: one of them, or what is uncovered.
        why: a sentence with the answer.
        after: HTML that is uncovered with it.
    """
    buttons = "".join(
        f'<button type="button" value="{html.escape(each)}" aria-pressed="false">{text(each)}</button>'
        for each in choices
    )
    given = f' data-answer="{html.escape(answer)}"' if choices else ""
    choose = f'<div class="choices">{buttons}</div><p class="said" aria-live="polite"></p>' if choices else ""
    uncovered = f"<details><summary>Show the answer</summary><p><strong>{text(answer)}</strong> {text(why)}</p>{after}"
    return f'<div class="ask"{given}><p>{text(words)}</p>{inside}{choose}{uncovered}</details></div>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _caption(words: str) -> str:
    return f"<figcaption>{text(words)}</figcaption>" if words else ""
