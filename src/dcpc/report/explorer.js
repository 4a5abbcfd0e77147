"use strict";
// The page's tables of items and annotators. Every text from the data goes into the document as text, never as markup.
(() => {
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7f7f7f", "#8c564b"];
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const { labels, items, annotators, judgements } = data;
  const nItems = items.id.length, nPeople = annotators.id.length, nLabels = labels.length;
  const compareText = new Intl.Collator(undefined, { numeric: true }).compare;
  const count = (n) => n.toLocaleString("en");
  const percent = (x) => (x === null || Number.isNaN(x) ? "–" : `${Math.round(100 * x)} %`.replace("-", "−"));
  const signed = (x) => (x > 0 && Math.round(100 * x) ? `+${percent(x)}` : percent(x));
  const number = (x, digits) => (x === null || Number.isNaN(x) ? "–" : x.toFixed(digits).replace("-", "−"));

  // ---- The judgements, by item (start[i] … start[i + 1]) and by annotator (of[first[a]] …).
  const start = new Int32Array(nItems + 1);
  for (let i = 0; i < nItems; i++) start[i + 1] = start[i] + judgements.size[i];
  const who = Int32Array.from(judgements.who), said = Int32Array.from(judgements.label);
  const itemOf = new Int32Array(who.length), given = new Int32Array(nItems * nLabels);
  for (let i = 0; i < nItems; i++) {
    for (let j = start[i]; j < start[i + 1]; j++) { itemOf[j] = i; given[i * nLabels + said[j]]++; }
  }
  const first = new Int32Array(nPeople + 1);
  for (const a of who) if (a >= 0) first[a + 1]++;
  for (let a = 0; a < nPeople; a++) first[a + 1] += first[a];
  const of = new Int32Array(first[nPeople]), next = first.slice();
  who.forEach((a, j) => { if (a >= 0) of[next[a]++] = j; });

  const size = (i) => start[i + 1] - start[i];
  const bits = Float64Array.from({ length: nItems }, (_, i) => {
    let sum = 0;
    for (let c = 0; c < nLabels; c++) {
      const p = given[i * nLabels + c] / Math.max(size(i), 1);
      if (p > 0) sum -= p * Math.log2(p);
    }
    return size(i) >= 2 ? sum : NaN;
  });

  // ---- Elements.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "className") element.className = value;
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  const link = (text, open) => make("button", { type: "button", className: "link", onclick: open }, text);
  const itemLink = (i) => link(items.id[i], () => show(itemDetail, i));
  const personLink = (a) => (a < 0 ? "not named" : link(annotators.id[a], () => show(personDetail, a)));
  function shares(counts, total) {
    const bar = make("div", { className: "bar", "aria-hidden": "true" });
    const words = [];
    counts.forEach((n, c) => {
      if (!n) return;
      const part = make("span");
      part.style.width = `${(100 * n) / total}%`;
      part.style.background = COLOURS[c % COLOURS.length];
      bar.append(part);
      words.push(`${labels[c]}: ${count(n)}`);
    });
    return make("div", {}, bar, words.join(", "));
  }
  const countsOf = (i) => Array.from(given.subarray(i * nLabels, (i + 1) * nLabels));

  // A table without paging, for the details.
  function plainTable(caption, header, rows, numeric = []) {
    const cell = (value, k) => make(k ? "td" : "th", { scope: k ? null : "row", className: numeric.includes(k) ? "n" : "" }, value);
    return make("div", { className: "scroll", tabindex: "0", role: "group", "aria-label": caption },
      make("table", {},
        make("caption", {}, make("span", {}, caption)),
        make("thead", {}, make("tr", {}, ...header.map((name, k) => make("th", { scope: "col", className: numeric.includes(k) ? "n" : "" }, name)))),
        make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
  }

  // ---- A table that is filtered, sorted and paged. Columns: { name, numeric, value(row), cell(row) }.
  function pagedTable(root, { name, rows, columns, below, matches, filters, sortBy }) {
    let sort = { column: sortBy, down: true }, page = 0, perPage = 25, shown = [];
    const orders = new Map(); // column → rows from low to high, missing values last
    const thead = make("thead"), table = make("table", { className: below ? "entries" : "" }, thead);
    const status = make("span", { role: "status" });
    const back = make("button", { type: "button", onclick: () => turn(-1) }, "Previous");
    const forth = make("button", { type: "button", onclick: () => turn(1) }, "Next");
    const perPageChoice = make("select", { onchange: (event) => { perPage = Number(event.target.value); page = 0; draw(); } },
      ...[25, 100, 500].map((n) => make("option", { value: n }, String(n))));

    function order(column) {
      if (!orders.has(column)) {
        const values = Array.from({ length: rows }, (_, row) => columns[column].value(row));
        const missing = (v) => v === null || Number.isNaN(v);
        const compare = (x, y) => (typeof x === "string" ? compareText(x, y) : x - y);
        const known = values.map((_, row) => row).filter((row) => !missing(values[row]));
        known.sort((x, y) => compare(values[x], values[y]) || x - y);
        orders.set(column, { known, unknown: values.map((_, row) => row).filter((row) => missing(values[row])) });
      }
      const { known, unknown } = orders.get(column);
      return (sort.down ? known.slice().reverse() : known).concat(unknown);
    }
    function filter() {
      const wanted = matches();
      shown = order(sort.column).filter(wanted);
      page = 0;
      draw();
    }
    function turn(step) {
      page += step;
      draw();
      table.closest(".scroll").scrollIntoView({ block: "nearest" });
    }
    function head() {
      thead.replaceChildren(make("tr", {}, ...columns.map((column, k) => {
        const active = k === sort.column;
        const arrow = active ? (sort.down ? " ▼" : " ▲") : "";
        return make("th", { scope: "col", className: column.numeric ? "n" : "", "aria-sort": active ? (sort.down ? "descending" : "ascending") : null },
          make("button", { type: "button", className: "sort", onclick: () => {
            sort = { column: k, down: active ? !sort.down : Boolean(column.numeric) };
            filter();
            thead.querySelectorAll("button")[k].focus();
          } }, column.name, make("span", { "aria-hidden": "true" }, arrow)));
      })));
    }
    function draw() {
      const pages = Math.max(1, Math.ceil(shown.length / perPage));
      page = Math.min(Math.max(page, 0), pages - 1);
      const part = shown.slice(page * perPage, (page + 1) * perPage);
      const line = (row) => columns.map((column, k) =>
        make(k ? "td" : "th", { scope: k ? null : "row", className: column.numeric ? "n" : "" }, column.cell(row)));
      table.querySelectorAll("tbody").forEach((body) => body.remove());
      if (below) {
        table.append(...part.map((row) => make("tbody", {},
          make("tr", { className: "above" }, ...line(row)),
          make("tr", {}, make("td", { className: "text", colspan: columns.length }, make("div", { className: "clip" }, below(row)))))));
      } else {
        table.append(make("tbody", {}, ...part.map((row) => make("tr", {}, ...line(row)))));
      }
      const range = shown.length ? `, ${count(page * perPage + 1)} to ${count(page * perPage + part.length)} shown` : "";
      status.textContent = `${count(shown.length)} of ${count(rows)} ${name}${range}`;
      back.disabled = page === 0;
      forth.disabled = page === pages - 1;
      head();
    }
    let waiting = 0;
    const soon = () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); };
    const form = make("form", { className: "filters", role: "search", "aria-label": `Filter ${name}`, oninput: soon, onchange: soon,
      onsubmit: (event) => event.preventDefault(), onreset: soon }, ...filters, make("button", { type: "reset" }, "Clear"));
    root.append(form,
      make("div", { className: "pager" }, status, back, forth, make("label", {}, "Rows", perPageChoice)),
      make("div", { className: "scroll", tabindex: "0", role: "group", "aria-label": `Table of ${name}` }, table));
    filter();
  }

  // ---- Filters. Each is a labelled control.
  const field = (text, control) => make("label", {}, text, control);
  const search = () => make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const choice = (options) => make("select", {}, make("option", { value: "" }, "any"), ...options);
  const labelChoice = () => choice(labels.map((label, c) => make("option", { value: c }, label)));
  function splitChoice() {
    return items.splits && items.splits.length ? choice(items.splits.map((name, k) => make("option", { value: k }, name))) : null;
  }
  function groupChoice() {
    const found = data.groups.map((n, g) => make("option", { value: `g:${g}` }, `group ${g + 1} (${count(n)})`));
    const told = data.attributes.map((attribute, k) => make("optgroup", { label: attribute.name },
      ...attribute.values.map((value, v) => make("option", { value: `${k}:${v}` }, value))));
    if (!found.length && !told.length) return null;
    return choice([...(found.length ? [make("optgroup", { label: "found" }, ...found)] : []), ...told]);
  }
  function inGroup(value) {
    const [kind, v] = value.split(":");
    const codes = kind === "g" ? data.group : data.attributes[Number(kind)].of;
    return (a) => a >= 0 && codes[a] === Number(v);
  }
  const valueOf = (control) => (control ? control.value : "");
  const fields = (pairs) => pairs.filter(([, control]) => control).map(([text, control]) => field(text, control));

  const lower = items.id.map((id, i) => (items.text ? `${id}\n${items.text[i]}` : id).toLowerCase());

  // An exact id is that annotator; anything else are all whose id contains it.
  function people(text) {
    const query = text.trim().toLowerCase();
    const exact = annotators.id.indexOf(text.trim());
    if (exact >= 0) return (a) => a === exact;
    const mask = annotators.id.map((id) => id.toLowerCase().includes(query));
    return (a) => a >= 0 && mask[a];
  }

  function itemsTable(root) {
    const text = search(), person = nPeople ? search() : null, label = labelChoice(), group = groupChoice(), split = splitChoice();
    const columns = [
      { name: "item", value: (i) => items.id[i], cell: itemLink },
      { name: "judgements", numeric: true, value: size, cell: (i) => count(size(i)) },
      { name: "bits", numeric: true, value: (i) => bits[i], cell: (i) => number(bits[i], 2) },
      ...(items.splits ? [{ name: "split", value: (i) => (items.split[i] < 0 ? null : items.splits[items.split[i]]), cell: (i) => (items.split[i] < 0 ? "–" : items.splits[items.split[i]]) }] : []),
      { name: "labels", value: (i) => { const c = countsOf(i); return labels[c.indexOf(Math.max(...c))]; }, cell: (i) => shares(countsOf(i), size(i)) },
    ];
    function matches() {
      const query = text.value.trim().toLowerCase(), wantedLabel = valueOf(label), wantedSplit = valueOf(split);
      const tests = [];
      if (valueOf(person).trim()) tests.push(people(person.value));
      if (valueOf(group)) tests.push(inGroup(group.value));
      return (i) => {
        if (query && !lower[i].includes(query)) return false;
        if (wantedSplit !== "" && items.split[i] !== Number(wantedSplit)) return false;
        if (!tests.length) return wantedLabel === "" || given[i * nLabels + Number(wantedLabel)] > 0;
        for (let j = start[i]; j < start[i + 1]; j++) {
          if ((wantedLabel === "" || said[j] === Number(wantedLabel)) && tests.every((test) => test(who[j]))) return true;
        }
        return false;
      };
    }
    pagedTable(root, {
      name: "items", rows: nItems, columns, matches, sortBy: 2,
      below: items.text ? (i) => items.text[i] : null,
      filters: fields([[items.text ? "Search text or id" : "Search id", text], ["Annotator", person], ["Label given", label], ["Group", group], ["Split", split]]),
    });
  }

  function annotatorsTable(root) {
    const text = search(), label = labelChoice(), group = groupChoice(), split = splitChoice();
    const plain = (name, key, digits) => ({ name, numeric: true, value: (a) => annotators[key][a], cell: (a) => number(annotators[key][a], digits) });
    const share = (name, key) => ({ name, numeric: true, value: (a) => annotators[key][a], cell: (a) => percent(annotators[key][a]) });
    const leaning = (a) => (annotators.leaning[a] < 0 ? null : labels[annotators.leaning[a]]);
    const groupOf = (a) => (data.group[a] < 0 ? null : `group ${data.group[a] + 1}`);
    const columns = [
      { name: "annotator", value: (a) => annotators.id[a], cell: personLink },
      { name: "judgements", numeric: true, value: (a) => annotators.judgements[a], cell: (a) => count(annotators.judgements[a]) },
      share("agreement", "agreement"),
      { name: "leans to", value: leaning, cell: (a) => leaning(a) ?? "–" },
      share("excess", "excess"), plain("z", "z", 1),
      ...(annotators.leniency ? [plain("leniency", "leniency", 2), plain("extremity", "extremity", 2)] : []),
      ...(annotators.ties ? [share("ties", "ties"), share("longer", "longer"), share("first", "first"),
        { name: "circles", numeric: true, value: (a) => (annotators.triples[a] ? annotators.cyclic[a] / annotators.triples[a] : null), cell: (a) => (annotators.triples[a] ? `${annotators.cyclic[a]} / ${count(annotators.triples[a])}` : "–") }] : []),
      ...(data.groups.length ? [{ name: "group", value: groupOf, cell: (a) => groupOf(a) ?? "–" }] : []),
    ];
    function matches() {
      const query = text.value.trim().toLowerCase(), wantedLabel = valueOf(label), wantedSplit = valueOf(split);
      const member = valueOf(group) ? inGroup(group.value) : null;
      return (a) => {
        if (query && !annotators.id[a].toLowerCase().includes(query)) return false;
        if (wantedLabel !== "" && annotators.leaning[a] !== Number(wantedLabel)) return false;
        if (member && !member(a)) return false;
        if (wantedSplit === "") return true;
        for (let k = first[a]; k < first[a + 1]; k++) if (items.split[itemOf[of[k]]] === Number(wantedSplit)) return true;
        return false;
      };
    }
    pagedTable(root, {
      name: "annotators", rows: nPeople, columns, matches, sortBy: 1, below: null,
      filters: fields([["Search annotator", text], ["Leans to", label], ["Group", group], ["Has judged in split", split]]),
    });
  }

  // ---- Details, in a dialog with a way back.
  const dialog = document.getElementById("detail"), trail = [];
  function show(detail, row) {
    trail.push([detail, row]);
    render();
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    dialog.querySelector("h2").focus();
  }
  function render() {
    const [detail, row] = trail[trail.length - 1];
    const { title, body } = detail(row);
    const goBack = make("button", { type: "button", onclick: () => { trail.pop(); render(); dialog.querySelector("h2").focus(); } }, "Back");
    dialog.replaceChildren(
      make("header", {}, make("h2", { id: "detail-title", tabindex: "-1" }, title),
        make("div", { className: "pager" }, trail.length > 1 ? goBack : null, make("button", { type: "button", onclick: () => dialog.close() }, "Close"))),
      make("div", { className: "body" }, ...body));
  }
  dialog.addEventListener("close", () => { trail.length = 0; });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  function itemDetail(i) {
    const body = [];
    if (items.text) body.push(make("p", { className: "text" }, items.text[i]));
    if (items.splits && items.split[i] >= 0) body.push(make("p", { className: "soft" }, `Split: ${items.splits[items.split[i]]}`));
    const rows = labels.map((label, c) => {
      const voices = [];
      for (let j = start[i]; j < start[i + 1]; j++) if (said[j] === c) voices.push(who[j]);
      return voices.length ? [label, count(voices.length), names(voices)] : null;
    }).filter(Boolean);
    body.push(plainTable("Who said what", ["label", "judgements", "annotators"], rows, [1]));
    return { title: `Item ${items.id[i]}`, body };
  }
  function names(voices) {
    const most = 40, unnamed = voices.filter((a) => a < 0).length, named = voices.filter((a) => a >= 0);
    const list = make("span", { className: "who" }, ...named.slice(0, most).map(personLink));
    if (unnamed) list.append(named.length ? `${count(unnamed)} not named` : "not named");
    if (named.length > most) {
      const more = make("button", { type: "button", onclick: () => {
        const rest = named.slice(most).map(personLink);
        more.replaceWith(...rest);
        rest[0].focus();
      } }, `${count(named.length - most)} more`);
      list.append(more);
    }
    return list;
  }

  // How near two labels are: equal or not; on an ordinal scale 1 less their distance over the largest one.
  const near = (x, y) => (data.ordinal && nLabels > 1 ? 1 - Math.abs(x - y) / (nLabels - 1) : Number(x === y));

  function personDetail(a) {
    const own = new Float64Array(nLabels), others = new Float64Array(nLabels);
    const common = new Map(), telling = [];
    let shared = 0;
    for (let k = first[a]; k < first[a + 1]; k++) {
      const j = of[k], i = itemOf[j], voices = [];
      for (let o = start[i]; o < start[i + 1]; o++) if (who[o] !== a || who[o] < 0) voices.push(o);
      if (!voices.length) continue;
      shared++;
      own[said[j]]++;
      let expected = 0;
      for (const o of voices) { others[said[o]] += 1 / voices.length; expected += near(said[j], said[o]) / voices.length; }
      for (const o of voices) {
        if (who[o] < 0) continue;
        const pair = common.get(who[o]) ?? { items: 0, near: 0, excess: 0 };
        pair.items++;
        pair.near += near(said[j], said[o]);
        pair.excess += near(said[j], said[o]) - expected;
        common.set(who[o], pair);
      }
      // Departing from many who agree tells more than departing from one.
      telling.push({ i, j, distance: (1 - expected) * (voices.length / (voices.length + 1)) });
    }
    const body = [];
    const facts = [[count(annotators.judgements[a]), "judgements"], [percent(annotators.agreement[a]), "agreement with the others"], [percent(annotators.chance[a]), "by chance, for labels used this often"]];
    if (annotators.leaning[a] >= 0) facts.push([`${labels[annotators.leaning[a]]} (${signed(annotators.excess[a])}, z ${number(annotators.z[a], 1)})`, "leans to"]);
    if (annotators.leniency) facts.push([number(annotators.leniency[a], 2), "leniency, steps"], [number(annotators.extremity[a], 2), "extremity"]);
    if (annotators.ties) {
      facts.push([percent(annotators.ties[a]), "ties"], [percent(annotators.longer[a]), "for the longer"], [percent(annotators.first[a]), "for the first side"]);
      if (annotators.triples[a]) facts.push([`${annotators.cyclic[a]} of ${count(annotators.triples[a])}`, "triples in a circle"]);
    }
    if (data.group[a] >= 0) facts.push([`group ${data.group[a] + 1}`, "found with"]);
    for (const attribute of data.attributes) if (attribute.of[a] >= 0) facts.push([attribute.values[attribute.of[a]], attribute.name]);
    body.push(make("dl", { className: "key" }, ...facts.map(([value, name]) => make("div", {}, make("dd", {}, value), make("dt", {}, name)))));
    if (!shared) {
      body.push(make("p", {}, "Nobody else judged the items of this annotator that are in the table."));
      return { title: `Annotator ${annotators.id[a]}`, body };
    }
    const used = labels.map((_, c) => c).filter((c) => own[c] || others[c] > 0.005 * shared);
    const mostUsed = data.ordinal && used.length <= 30 ? used : used.sort((x, y) => Math.abs(own[y] - others[y]) - Math.abs(own[x] - others[x])).slice(0, 30);
    body.push(plainTable(`Labels on ${count(shared)} shared items`, ["label", "this annotator", "the others", "difference"],
      mostUsed.map((c) => [labels[c], percent(own[c] / shared), percent(others[c] / shared), signed((own[c] - others[c]) / shared)]), [1, 2, 3]));
    const closeness = data.ordinal ? "closeness" : "agreement";
    const partners = [...common].map(([b, pair]) => ({ b, ...pair, shrunk: pair.excess / (pair.items + 5) }));
    const rowsOf = (list) => list.slice(0, 5).map((p) => [personLink(p.b), count(p.items), percent(p.near / p.items), percent((p.near - p.excess) / p.items)]);
    const header = ["annotator", "common items", closeness, "all others there"];
    const most = partners.filter((p) => p.shrunk > 1e-9).sort((x, y) => y.shrunk - x.shrunk);
    const least = partners.filter((p) => p.shrunk < -1e-9).sort((x, y) => x.shrunk - y.shrunk);
    if (most.length) body.push(plainTable("Agrees most with (more than with the others of the same items)", header, rowsOf(most), [1, 2, 3]));
    if (least.length) body.push(plainTable("Agrees least with", header, rowsOf(least), [1, 2, 3]));
    const best = telling.filter((t) => t.distance > 0).sort((x, y) => y.distance - x.distance || x.i - y.i).slice(0, 10);
    if (best.length) {
      body.push(plainTable("Most telling items: furthest from what the others said", ["item", "said", "all labels", ...(items.text ? ["text"] : [])],
        best.map(({ i, j }) => [itemLink(i), labels[said[j]], shares(countsOf(i), size(i)), ...(items.text ? [make("div", { className: "clip text" }, items.text[i])] : [])])));
    } else body.push(make("p", {}, "Never departs from what the others said."));
    return { title: `Annotator ${annotators.id[a]}`, body };
  }

  itemsTable(document.getElementById("items"));
  const root = document.getElementById("annotators");
  if (root) annotatorsTable(root);
})();
