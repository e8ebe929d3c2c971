// Files on their way: dropped or chosen, three at once, in chunks that go on where they were after a lost connection.
// POST {name, size, library, replaces?} to data-create-url -> {id, url, offset, chunk}; then PATCH to `url` with the
// header Upload-Offset; HEAD of `url` tells the offset the server has. A refusal is problem+json with `detail`.
import { csrfToken, say } from "./http.js";
import { sentenceOf, showToast } from "./toast.js";
import { refreshRows } from "./work.js";

const AT_ONCE = 3;
const WAITS = [1, 2, 4, 8, 15, 30]; // seconds before each new try; after the last the file has failed

export default function upload(element) {
  const input = element.querySelector('input[type="file"]');
  const list = document.getElementById(element.dataset.list);
  const queue = [];
  let sending = 0;

  const add = (files) => {
    for (const file of files) queue.push(new Sending(file, element.dataset, list ? row(element, list) : note(element)));
    next();
  };
  const next = () => {
    while (sending < AT_ONCE && queue.length) {
      const file = queue.shift();
      if (file.cancelled) continue;
      sending += 1;
      file.send().finally(() => {
        sending -= 1;
        next();
        if (!sending && !queue.length) finished(element);
      });
      file.again = () => {
        queue.push(file);
        next();
      };
    }
  };

  for (const button of document.querySelectorAll("[data-upload-choose]")) {
    button.addEventListener("click", () => input.click());
  }
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  if (list) acceptDrops(element, add);
  addEventListener("beforeunload", (event) => sending && event.preventDefault());
}

class Refused extends Error {}

class Sending {
  constructor(file, words, view) {
    Object.assign(this, { file, words, view, cancelled: false, url: "", abort: new AbortController() });
    view.start(file, this);
    view.text(words.textWaiting);
  }

  async send() {
    this.view.failed(false);
    try {
      if (this.file.size === 0) throw new Refused(this.words.textEmpty);
      if (this.file.size > Number(this.words.limit)) throw new Refused(this.words.textLarge);
      await this.persist();
      this.view.done();
    } catch (error) {
      if (this.cancelled) return;
      if (error instanceof Refused) this.url = ""; // a new try begins anew
      this.view.text(error instanceof Refused ? error.message : this.words.textFailed);
      this.view.failed(true);
    }
  }

  /** Sends until the last byte is there; a refusal ends it, a lost connection only delays it. */
  async persist() {
    let tries = 0;
    for (;;) {
      try {
        let offset = this.url ? await this.offset() : await this.create();
        while (offset < this.file.size) {
          offset = await this.chunk(offset);
          tries = 0;
        }
        return;
      } catch (error) {
        if (error instanceof Refused || this.cancelled || tries >= WAITS.length) throw error;
        await this.pause(WAITS[tries]);
        tries += 1;
      }
    }
  }

  async create() {
    const { createUrl, library, replaces } = this.words;
    const body = { name: this.file.name, size: this.file.size, library, ...(replaces && { replaces }) };
    const reply = await this.request(createUrl, "POST", JSON.stringify(body), { "Content-Type": "application/json" });
    const { url, offset, chunk } = await reply.json();
    Object.assign(this, { url, step: chunk });
    return offset;
  }

  async offset() {
    return Number((await this.request(this.url, "HEAD")).headers.get("Upload-Offset"));
  }

  async chunk(offset) {
    const end = Math.min(offset + this.step, this.file.size);
    await this.request(this.url, "PATCH", this.file.slice(offset, end), {
      "Content-Type": "application/offset+octet-stream",
      "Upload-Offset": String(offset),
    });
    this.view.progress(end, this.file.size, this.words.textSent);
    return end;
  }

  /** 409 (another offset), 429 and 5xx are worth another try; every other refusal is final. */
  async request(url, method, body, headers = {}) {
    const reply = await fetch(url, {
      method,
      body,
      headers: { ...headers, Accept: "application/json", "X-CSRFToken": csrfToken() },
      signal: this.abort.signal,
    });
    if (reply.ok) return reply;
    if (reply.status === 409 || reply.status === 429 || reply.status >= 500) throw new Error(`status ${reply.status}`);
    throw new Refused(sentenceOf(reply.status, await reply.text()));
  }

  async pause(seconds) {
    for (let n = seconds; n > 0 && !this.cancelled; n -= 1) {
      this.view.text(say(this.words.textLost, { n }));
      await new Promise((wake) => setTimeout(wake, 1000));
    }
  }

  cancel() {
    this.cancelled = true;
    this.abort.abort();
    this.view.done();
    if (this.url) fetch(this.url, { method: "DELETE", headers: { "X-CSRFToken": csrfToken() } }).catch(() => {});
  }
}

/** A row in the list of what is in work. */
function row(element, list) {
  const line = document.getElementById(element.dataset.template).content.firstElementChild.cloneNode(true);
  const part = (name) => line.querySelector(`[data-upload-${name}]`);
  const bar = line.querySelector("progress");
  return {
    start(file, sending) {
      part("name").textContent = part("name").title = file.name;
      part("size").textContent = amount(file.size);
      part("cancel").addEventListener("click", () => sending.cancel());
      part("retry").addEventListener("click", () => sending.again());
      list.append(line);
    },
    text: (words) => (part("text").textContent = words),
    progress(done, size, words) {
      bar.value = (100 * done) / size;
      part("text").textContent = say(words, { done: amount(done), size: amount(size) });
    },
    failed(failed) {
      part("retry").hidden = !failed;
      part("text").classList.toggle("field-error", failed);
      bar.hidden = failed;
    },
    done: () => line.remove(),
  };
}

/** Words beside a button, where there is no list. */
function note(element) {
  const words = element.querySelector("[data-upload-note]");
  return {
    start() {},
    text: (text) => (words.textContent = text),
    progress: (done, size, text) => (words.textContent = say(text, { done: amount(done), size: amount(size) })),
    failed: (failed) => failed && showToast(words.textContent, "bad"),
    done: () => (words.textContent = ""),
  };
}

function finished(element) {
  refreshRows();
  if (element.dataset.backUrl && !element.querySelector("[data-upload-note]").textContent) {
    location.assign(element.dataset.backUrl);
  }
}

function acceptDrops(zone, add) {
  const over = (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    zone.classList.add("over");
  };
  // The whole page takes the drop: a file beside the zone must not replace the page.
  document.addEventListener("dragenter", over);
  document.addEventListener("dragover", over);
  document.addEventListener("dragleave", (event) => event.relatedTarget || zone.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    zone.classList.remove("over");
    add(event.dataTransfer.files);
  });
}

/** Bytes as people say them. */
function amount(bytes) {
  const [unit, size] = bytes < 1e3 ? ["byte", 1] : bytes < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  const format = new Intl.NumberFormat(document.documentElement.lang, {
    style: "unit",
    unit,
    unitDisplay: size === 1 ? "long" : "short",
    maximumFractionDigits: 1,
  });
  return format.format(bytes / size);
}
