// What a page must not have, whoever wrote the words on it: anything that loads from elsewhere, runs, or leads away.
() => {
  const flaws = [];
  const own = location.origin;
  const addresses = [
    "href", "src", "srcset", "imagesrcset", "action", "formaction", "data", "poster", "ping", "background", "cite",
    "longdesc", "manifest", "lowsrc", "dynsrc", "xlink:href", "codebase", "archive", "classid", "usemap", "srcdoc",
  ];
  const forbidden = new Set([
    "IFRAME", "FRAME", "FRAMESET", "OBJECT", "EMBED", "APPLET", "BASE", "PORTAL", "FENCEDFRAME", "STYLE", "VIDEO",
    "AUDIO", "SOURCE", "TRACK", "PICTURE", "AREA", "MAP", "MATH", "MARQUEE", "BGSOUND", "PLAINTEXT", "XSS",
  ]);
  const drawn = new Set(["svg", "path", "circle", "rect", "line", "polyline", "polygon", "ellipse", "g"]);
  const say = (element, what) => flaws.push(`${what}: ${element.outerHTML.slice(0, 160)}`);
  const leads = (value) => {
    try {
      const url = new URL(value, document.baseURI);
      return url.origin !== own && !(url.protocol === "data:" && value.startsWith("data:image/png"));
    } catch {
      return true;
    }
  };

  const look = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (forbidden.has(element.tagName.toUpperCase())) say(element, "element");
      if (element instanceof SVGElement && !drawn.has(element.tagName)) say(element, "drawing");
      if (element.tagName === "SCRIPT" && (!element.src || leads(element.src))) say(element, "script");
      if (element.tagName === "LINK" && !["stylesheet", "icon"].includes(element.rel)) say(element, "link");
      if (element.tagName === "META" && element.httpEquiv) say(element, "meta");
      for (const { name, value } of element.attributes) {
        if (name.startsWith("on") || name.startsWith("hx-on") || name === "style") say(element, name);
        if (addresses.includes(name) && value && leads(value)) say(element, name);
        if (name.startsWith("hx-") && /^(\w+:)?\/\//.test(value)) say(element, name);
      }
      // What people write about documents is nobody's to check: some browsers send it away for that.
      const written = element.matches("textarea, input:not([type]), input[type=text], input[type=search], [contenteditable]");
      if (written && element.spellcheck) say(element, "spell-checked");
      if (element.shadowRoot) say(element, "shadow");
      if (element.tagName === "TEMPLATE") look(element.content);
    }
  };
  look(document);
  return flaws;
}
