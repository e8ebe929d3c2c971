// Server-sent events. A browser allows six connections to a site over all its tabs, so a tab holds one stream at most,
// and none while it is hidden. Whoever subscribed last has the stream; the one before gets it back afterwards.
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 20000;
const REFUSED_AFTER = 2;

const wanted = [];
let source = null;
let timer = 0;
let wait = FIRST_WAIT;
let failures = 0;

/**
 * Listens to `url`. `handlers` is {event name: function(data)}, data being the event's parsed JSON;
 * `onLost` is called when the connection breaks, `onBack` when it is there again.
 * Returns a function that ends the subscription.
 */
export function subscribe(url, handlers, { onLost = () => {}, onBack = () => {} } = {}) {
  const subscription = { url, handlers, onLost, onBack, last: "" };
  wanted.push(subscription);
  connect();
  return () => {
    const place = wanted.indexOf(subscription);
    if (place < 0) return;
    wanted.splice(place, 1);
    connect();
  };
}

function connect() {
  disconnect();
  const current = wanted.at(-1);
  if (!current || document.hidden) return;
  // A new EventSource sends no Last-Event-ID header, so the place is in the address.
  const url = new URL(current.url, location.href);
  if (current.last) url.searchParams.set("last", current.last);
  source = new EventSource(url);
  source.addEventListener("open", () => {
    wait = FIRST_WAIT;
    failures = 0;
    current.onBack();
  });
  source.addEventListener("error", () => lost(current));
  for (const [name, handle] of Object.entries(current.handlers)) {
    source.addEventListener(name, (event) => {
      if (event.lastEventId) current.last = event.lastEventId;
      if (event.data !== undefined) handle(JSON.parse(event.data));
    });
  }
}

// The browser tries again by itself only after some failures, and at a fixed pace; this does so after all, slower each time.
async function lost(current) {
  disconnect();
  current.onLost();
  failures += 1;
  if (failures === REFUSED_AFTER && (await refused(current.url))) return location.reload();
  timer = setTimeout(connect, wait);
  wait = Math.min(wait * 2, LONGEST_WAIT);
}

// An EventSource does not say why it failed. Whoever has been signed out is led to the sign-in page by a reload.
async function refused(url) {
  const ask = new AbortController();
  try {
    const reply = await fetch(url, { headers: { Accept: "text/event-stream" }, signal: ask.signal });
    return reply.status === 401 || reply.status === 404;
  } catch {
    return false;
  } finally {
    ask.abort();
  }
}

function disconnect() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

document.addEventListener("visibilitychange", connect);
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => event.persisted && connect());
