"use strict";

/* Lists the models of the page: unpack, search, filter, sort, show. Texts are set as text only. */

(() => {
  const MORE = 100;
  const PRINTED = 300;
  const DAY = 86400;
  const VERDICTS = { failed: "refused", unknown: "unknown", passed: "passed", removed: "removed" };
  const KINDS = {
    "newly-refused": "newly refused", "newly-unknown": "can be examined no more",
    "passed-again": "passes again", added: "added", changed: "changed", removed: "removed",
  };
  const ORDER = ["failed", "unknown", "passed", "removed"];
  const UNITS = [["B", 1], ["KiB", 2 ** 10], ["MiB", 2 ** 20], ["GiB", 2 ** 30], ["TiB", 2 ** 40]];
  const NONE = Object.freeze([]);
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

  let page = null;
  const lists = new Map();

  /** Make an element of texts and other elements; nothing is ever parsed. */
  function make(tag, kind, ...parts) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...parts.filter((part) => part !== null && part !== ""));
    return element;
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  /* Values of a row */

  const codes = (row) => (row.whys || NONE).map((why) => why[0]);
  const waived = (row) => (row.exemptions || NONE).map((one) => one[0]);
  const daysLeft = (row) => Math.min(...(row.exemptions || NONE).map((one) => one[5] ?? Infinity));
  const address = (row) => row.url || `${page.roots[row.root].replace(/\/+$/, "")}/${row.path}`;

  const FILTERS = {
    reason: (row, value) => codes(row).includes(value),
    exemption: (row, value) => waived(row).includes(value),
    warning: (row, value) => (row.warnings || NONE).includes(value),
  };
  const KEYS = {
    status: (row) => ORDER.indexOf(row.status),
    reason: (row) => codes(row)[0] || "",
    uses: (row) => -(row.uses || NONE).length,
    since: (row) => -(row.since || 0),
    modified: (row) => -(row.modified || 0),
    size: (row) => -(row.size || 0),
    left: daysLeft,
    exception: (row) => waived(row)[0] || (row.warnings || NONE)[0] || "",
  };
  const BASE = {
    refused: (row) => row.status === "failed" || row.status === "unknown",
    changed: (row) => Boolean(row.kind) && row.kind !== "newly-refused",
    exceptions: (row) => row.status === "passed" && Boolean(row.exemptions || row.warnings),
    inventory: (row) => row.status !== "removed",
  };

  function haystack(row) {
    const parts = [
      row.path, page.roots[row.root], row.architecture, row.license, row.format, row.quantization,
      row.publisher, row.owner, row.pin, row.sha256, KINDS[row.kind], VERDICTS[row.status],
      ...(row.warnings || NONE), ...(row.whys || NONE).flat(), ...(row.exemptions || NONE).flat(),
      ...(row.changes || NONE).flat(), ...(row.uses || NONE).flat(),
    ];
    return parts.filter((part) => typeof part === "string").join("\n").toLowerCase();
  }

  /* Texts */

  const number = (value) => value.toLocaleString("en-GB");
  const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

  function date(seconds) {
    const day = new Date(seconds * 1000);
    return `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]} ${day.getUTCFullYear()}`;
  }

  function moment(seconds) {
    return `${date(seconds)}, ${new Date(seconds * 1000).toISOString().slice(11, 16)} UTC`;
  }

  function size(bytes) {
    const [unit, one] = UNITS.findLast(([, least]) => bytes >= least) || UNITS[0];
    return `${Number((bytes / one).toPrecision(3))} ${unit}`;
  }

  function age(seconds) {
    const passed = page.now - seconds;
    if (passed >= DAY) return plural(Math.floor(passed / DAY), "day");
    if (passed >= 3600) return plural(Math.floor(passed / 3600), "hour");
    return plural(Math.max(0, Math.floor(passed / 60)), "minute");
  }

  function left(days) {
    if (!Number.isFinite(days)) return "";
    return days === 0 ? "its last day" : days < 0 ? "over" : plural(days, "day");
  }

  /* Cells */

  function verdict(row) {
    return make("span", `verdict ${row.status}`, VERDICTS[row.status]);
  }

  function path(row) {
    const end = row.path.lastIndexOf("/") + 1;
    return [make("span", "folder", row.path.slice(0, end)), make("span", "name", row.path.slice(end))];
  }

  function change([field, before, after]) {
    const arrow = make("span", "", "→");
    arrow.setAttribute("aria-label", "became");
    return make("li", "", make("span", "field", field), " ",
      make("span", "before", before || "nothing"), " ", arrow, " ",
      make("span", "after", after || "nothing"));
  }

  function outcome(row, most) {
    const list = make("ul", "changes");
    if (row.before && row.before !== row.status) {
      list.append(change(["verdict", VERDICTS[row.before], VERDICTS[row.status]]));
    }
    const others = (row.changes || NONE).filter((one) => !["status", "reasons"].includes(one[0]));
    list.append(...others.slice(0, most).map(change));
    if (others.length > most) list.append(make("li", "soft", `and ${others.length - most} more`));
    return list;
  }

  function briefly(row) {
    const [first, ...others] = row.whys || NONE;
    if (!first) return [];
    const more = others.length ? make("span", "soft", ` and ${others.length} more`) : "";
    return [make("code", "code", first[0]), more, make("span", "message", first[1])];
  }

  function passing(row) {
    return [
      ...waived(row).map((code) => make("span", "pass", make("code", "code", code), " waived")),
      ...(row.warnings || NONE).map((code) => make("span", "pass", make("code", "code", code))),
    ];
  }

  const CELLS = {
    status: (row) => [verdict(row)],
    why: briefly,
    kind: (row) => [KINDS[row.kind]],
    changes: (row) => [outcome(row, 3)],
    exception: passing,
    left: (row) => [left(daysLeft(row))],
    owner: (row) => (row.owner || "").split(/(?=@)/).flatMap((part) => [make("wbr"), part]),
    since: (row) => row.since ? [make("span", "", age(row.since)),
      make("span", "soft", `${row.exact ? "" : "at least, "}${date(row.since)}`)] : [],
    uses: (row) => [(row.uses || NONE).length ? plural(row.uses.length, "start") : "–"],
    architecture: (row) => [row.architecture || "–"],
    license: (row) => [row.license || "–"],
    format: (row) => [[row.format, row.quantization].filter(Boolean).join(" ") || "–"],
    size: (row) => [size(row.size || 0)],
    modified: (row) => [row.modified ? date(row.modified) : "–"],
  };

  function modelCell(row) {
    const button = make("button", "open", ...path(row));
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    const root = page.roots.length > 1 ? make("span", "root", page.roots[row.root]) : "";
    const narrow = make("span", "narrow", verdict(row), ...briefly(row).slice(0, 1),
      ...(row.kind ? [make("span", "soft", KINDS[row.kind])] : []), ...passing(row));
    return [button, root, narrow];
  }

  /* The details of one model */

  function fact(list, term, ...parts) {
    if (parts.length) list.append(make("dt", "", term), make("dd", "", ...parts));
  }

  function reason([code, message, value, offset, line]) {
    const said = make("p", "", message);
    if (offset != null) said.append(" ", make("span", "byte", `byte ${number(offset)}`));
    const terms = make("p", "terms", make("code", "code", code));
    if (line) terms.append(make("code", "line", line));
    if (value) terms.append(make("span", "met", `met ${value}`));
    return make("div", "why", said, terms);
  }

  function paste(text) {
    const shown = make("pre", "", text);
    shown.tabIndex = 0;
    shown.setAttribute("aria-label", "Waiver");
    const copy = make("button", "copy", "Copy");
    copy.type = "button";
    copy.hidden = !navigator.clipboard;
    return make("details", "", make("summary", "", "Allow it for a while"),
      make("p", "", "Paste this into the policy, and fill in what is empty:"),
      make("div", "paste", shown, copy));
  }

  function use([agent, state, at, run, pin, current]) {
    const item = make("li", "", `${agent || "an agent"}: ${state || "waiting"}`);
    if (at) item.append(`, ${moment(at)}`);
    const taken = `${state === "waiting" ? "waits for" : "took"} ${current ? "the bytes that are there now" : "other bytes than now"}, pin `;
    const more = make("span", "soft", taken, make("code", "", (pin || "").slice(0, 16)));
    if (run) more.append(", in flow run ", make("code", "", run));
    item.append(more);
    return item;
  }

  function details(row) {
    const list = make("dl", "");
    fact(list, "Address", make("span", "address", address(row)));
    fact(list, "Why", ...(row.whys || NONE).map(reason));
    const remedies = [...new Set(codes(row).map((code) => page.remedies[code]))].filter(Boolean);
    const paragraphs = remedies.map((text) => make("p", "", text));
    fact(list, "What to do", ...paragraphs, ...(row.waiver ? [paste(row.waiver)] : []));
    fact(list, "Waived", ...(row.exemptions || NONE).map(([code, message, why, owner, until, days]) =>
      make("div", "why", make("p", "", message), make("p", "terms", make("code", "code", code),
        make("span", "met", `until ${until} (${left(days ?? Infinity) || "not stated"}), ${owner}: ${why}`)))));
    if (row.passed_at) fact(list, "Passed last", moment(row.passed_at));
    if (row.kind) fact(list, "What happened", [KINDS[row.kind], row.cause].filter(Boolean).join(": "));
    const changes = outcome(row, Infinity);
    if (changes.firstChild) fact(list, "Before → after", changes);
    const written = row.modified ? [`written ${moment(row.modified)}`] : [];
    const what = [row.architecture, row.format, row.quantization, row.license,
      row.parameters && `${number(row.parameters)} parameters`, size(row.size || 0), ...written];
    fact(list, "What it is", what.filter(Boolean).join(" · "));
    if (row.publisher) fact(list, "Published by", row.publisher);
    if (row.owner) fact(list, "Owner", row.owner);
    if (row.uses) fact(list, "Used by", make("ul", "uses", ...row.uses.map(use)));
    if (row.pin) fact(list, "Pin", make("code", "digest", row.pin));
    if (row.sha256) fact(list, "SHA-256", make("code", "digest", row.sha256));
    return list;
  }

  function toggle(button) {
    const line = button.closest("tr");
    const opens = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(opens));
    if (!opens) {
      line.nextElementSibling.remove();
      return;
    }
    const cell = make("td", "", details(page.rows[Number(line.dataset.row)]));
    cell.colSpan = [...line.cells].filter((one) => one.getClientRects().length).length;
    line.after(make("tr", "detail", cell));
  }

  /* Lists */

  class Listing {
    constructor(element) {
      this.element = element;
      this.name = element.dataset.listing;
      this.columns = element.dataset.columns.split(" ");
      this.least = Number(element.dataset.size);
      this.limit = this.least;
      this.form = element.querySelector("form");
      this.body = element.querySelector("tbody");
      this.found = element.querySelector(".found");
      this.more = element.querySelector(".more");
      this.all = page.rows.filter(BASE[this.name]);
      element.addEventListener("click", (event) => this.clicked(event));
      this.form.addEventListener("input", () => this.narrow());
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("reset", () => setTimeout(() => this.narrow()));
      this.form.hidden = this.name !== "inventory" && this.all.length <= this.least;
      this.narrow();
    }

    narrow() {
      const words = this.form.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = [...this.form.querySelectorAll("select")]
        .filter((select) => select.value).map((select) => [select.dataset.filter, select.value]);
      this.rows = this.all.filter((row) =>
        wanted.every(([name, value]) => name in FILTERS
          ? FILTERS[name](row, value) : row[name] === value)
        && words.every((word) => row.haystack.includes(word)));
      this.limit = this.least;
      this.show();
    }

    show() {
      const shown = this.rows.slice(0, this.limit);
      this.body.replaceChildren(...shown.map((row) => this.line(row)));
      const all = this.all.length;
      this.found.textContent = this.rows.length === all
        ? `${plural(all, "model")}${all > shown.length ? `, the first ${shown.length} shown` : ""}`
        : `${number(this.rows.length)} of ${plural(all, "model")} found`
          + (this.rows.length > shown.length ? `, the first ${shown.length} shown` : "");
      this.more.hidden = this.rows.length <= this.limit;
    }

    line(row) {
      const line = document.createElement("tr");
      line.dataset.row = row.place;
      for (const name of this.columns) {
        const heading = name === "model";
        const cell = make(heading ? "th" : "td", `col-${name}`,
          ...(heading ? modelCell(row) : CELLS[name](row)));
        if (heading) cell.scope = "row";
        line.append(cell);
      }
      return line;
    }

    sort(button) {
      const heading = button.closest("th");
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = KEYS[button.dataset.sort] || ((row) => row[button.dataset.sort] || "\uffff");
      const sign = down ? -1 : 1;
      const keyed = this.all.map((row) => [key(row), row]);
      keyed.sort(([a], [b]) => a < b ? -sign : a > b ? sign : 0);
      this.all = keyed.map(([, row]) => row);
      this.narrow();
    }

    clicked(event) {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.sort) this.sort(button);
      else if (button.classList.contains("open")) toggle(button);
      else if (button === this.more) {
        this.limit += MORE;
        this.show();
      }
    }

    choose(name, value) {
      this.form.hidden = false;
      this.form.reset();
      const select = [...this.form.querySelectorAll("select")]
        .find((one) => one.dataset.filter === name);
      if (select) select.value = value;
      this.narrow();
      this.element.scrollIntoView({ block: "start" });
      this.form.querySelector("input").focus({ preventScroll: true });
    }

    print(starts) {
      // What is wrong is printed; the inventory as far as it is on the screen.
      if (this.name !== "inventory") this.limit = starts ? Math.max(this.limit, PRINTED) : this.least;
      this.show();
    }
  }

  async function copy(button) {
    await navigator.clipboard.writeText(button.parentNode.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  function clicked(event) {
    const button = event.target.closest("button");
    if (button && button.classList.contains("copy")) copy(button);
    if (button && button.dataset.go) {
      lists.get(button.dataset.go)?.choose(button.dataset.set, button.dataset.value);
    }
  }

  function failed(text) {
    const notice = document.getElementById("broken");
    notice.textContent = text;
    notice.hidden = false;
    for (const found of document.querySelectorAll(".found")) found.textContent = "Not shown.";
  }

  async function start() {
    if (typeof DecompressionStream === "undefined") {
      failed("This browser is too old to unpack the lists of models; everything else is here.");
      return;
    }
    page = await unpack(document.getElementById("packed").textContent);
    page.rows.forEach((row, place) => {
      row.place = place;
      row.haystack = haystack(row);
    });
    for (const element of document.querySelectorAll("[data-listing]")) {
      lists.set(element.dataset.listing, new Listing(element));
    }
    for (const button of document.querySelectorAll(".copy")) button.hidden = !navigator.clipboard;
    document.addEventListener("click", clicked);
    addEventListener("beforeprint", () => lists.forEach((list) => list.print(true)));
    addEventListener("afterprint", () => lists.forEach((list) => list.print(false)));
    document.documentElement.dataset.ready = "";
  }

  start().catch(() => failed("The lists of models could not be unpacked; the file may be cut."));
})();
