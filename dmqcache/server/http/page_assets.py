"""Style and script of the status page: inline, so that it needs nothing from anywhere else.

What the page says is ``page.py``'s business.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--line:#dfe3e8;--text:#1c2430;--soft:#5d6876;
--ok:#15693e;--okbg:#e2f4ea;--warn:#8a5a00;--warnbg:#fdf0d5;--bad:#b3261e;--badbg:#fbe4e2;--idlebg:#e8ebef}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--line:#2d3540;--text:#e4e8ee;
--soft:#98a3b1;--ok:#6fd39c;--okbg:#173526;--warn:#f0c263;--warnbg:#3a2d10;--bad:#ff9a91;--badbg:#43201d;
--idlebg:#2a313b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1.25rem 1rem 3rem;background:var(--bg);color:var(--text);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .75rem}
h1{font-size:1.35rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1rem;margin:1.75rem 0 .5rem}
p{margin:.25rem 0;color:var(--soft)}
.pill{display:inline-block;padding:.05rem .55rem;border-radius:1rem;font-size:.85rem;font-weight:600;
background:var(--idlebg);color:var(--soft);white-space:nowrap}
.ok{background:var(--okbg);color:var(--ok)}.warn{background:var(--warnbg);color:var(--warn)}
.bad{background:var(--badbg);color:var(--bad)}
.pill.idle{background:var(--idlebg);color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;
margin:1rem 0 0;padding:0}
.figures div{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.6rem .8rem}
.figures dt{color:var(--soft);font-size:.85rem}
.figures dd{margin:0;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}
.box{background:var(--card);border:1px solid var(--line);border-radius:.6rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.45rem .8rem;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child>td{border-bottom:0}
th{font-size:.8rem;font-weight:600;color:var(--soft)}
td.n,th.n{text-align:right}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));
gap:0 1rem;align-items:start}
.none{padding:.6rem .8rem;color:var(--soft)}
#old{display:none;margin-bottom:.75rem;padding:.5rem .8rem;border-radius:.6rem}
.old #old{display:block}
#alarm{margin-bottom:1rem;padding:.6rem .9rem;border-radius:.6rem;border:1px solid var(--bad);
overflow-wrap:anywhere}
#alarm p{color:inherit}
#alarm p:first-child{font-size:1.1rem;font-weight:600}
#state{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .75rem}
#warnings td{white-space:normal;vertical-align:top}
#warnings td:last-child{width:100%;overflow-wrap:anywhere}
#warnings td:first-child{white-space:nowrap}
#calls .stack td:nth-child(n+5),#contacts td:not(.n),#presence td:not(.n){white-space:normal;
overflow-wrap:anywhere}
#contacts td:not(.n){min-width:min(9rem,14vw)}
/* The figures are old: no colour may say that all is well. */
.old main{filter:grayscale(1);opacity:.6}
.old .pill{background:var(--idlebg);color:var(--soft)}
.old #state .pill::before{content:"was "}
footer{margin-top:2rem;color:var(--soft);font-size:.85rem}
a{color:inherit}
@media(max-width:640px){
.stack thead{display:none}
.stack tr{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:.1rem .8rem;padding:.6rem .8rem;
border-bottom:1px solid var(--line)}
.stack tr:last-child{border-bottom:0}
.stack td{border:0;padding:.05rem 0;text-align:left;white-space:normal;overflow-wrap:anywhere;
text-wrap:balance}
.stack td:first-child{grid-column:1/-1;font-weight:600}
#warnings td:last-child,.stack td.wide{grid-column:1/-1}
#calls .stack td:nth-child(2),#calls .stack td:nth-child(n+5){grid-column:1/-1}
#contacts .stack td{min-width:0}
.stack td:not(:first-child)::before{content:attr(data-is) " ";color:var(--soft);font-size:.85rem}
}
"""

#: Fetches the page again and takes its figures over; says so when the node does not answer any more. A page
#: that is looked at again after a while is fetched at once.
SCRIPT: Final = """
const old = document.getElementById("old");
let since = Date.now(), title = document.title, timer;
async function again() {
  clearTimeout(timer);
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, {cache: "no-store", signal: AbortSignal.timeout(4000)});
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(page.querySelector("main"));
      document.title = title = page.title;
      since = Date.now();
      document.body.className = "";
    } catch (error) {
      const seconds = Math.round((Date.now() - since) / 1000);
      old.textContent = "The node has not answered for " + seconds + " s. The figures below are old.";
      document.body.className = "old";
      document.title = "? " + title;
    }
  }
  clearTimeout(timer);
  timer = setTimeout(again, 3000);
}
document.addEventListener("visibilitychange", again);
timer = setTimeout(again, 3000);
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


#: Nothing from elsewhere is loaded or run, even if a name of a node or table were to carry markup.
SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
