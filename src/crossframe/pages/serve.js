"use strict";
// Labels and choices are kept in the part of the address after the #, which is sent to nobody.
const at = (id) => document.getElementById(id);
const examples = [...document.querySelectorAll(".example")];
const SPLIT = /\s*\n\s*/;
let file = null, example = "", running = null;

const lines = () => at("labels").value.trim().split(SPLIT).filter(Boolean);
const percent = (score) => `${(100 * score).toFixed(1)} %`;

function remember() {
  const kept = new URLSearchParams(lines().map((label) => ["label", label]));
  if (at("generic").checked) kept.set("none", "yes");
  for (const id of ["start", "end"]) if (at(id).value) kept.set(id, at(id).value);
  if (example) kept.set("example", example);
  history.replaceState(null, "", `#${kept}`);
}

function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  at("labels").value = kept.getAll("label").join("\n");
  at("generic").checked = kept.get("none") === "yes";
  for (const id of ["start", "end"]) at(id).value = kept.get(id) ?? "";
  choose(null, kept.get("example") ?? "");
}

function choose(chosen, name) {
  file = chosen;
  example = examples.some((button) => button.dataset.name === name) ? name : "";
  for (const button of examples) button.setAttribute("aria-pressed", String(button.dataset.name === example));
  say(file ? `${file.name} is chosen.` : example ? `${examples.find((one) => one.dataset.name === example).textContent} is chosen.` : "");
}

function say(text) { at("status").textContent = text; }

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

function authorization() {
  const token = at("token")?.value ?? "";
  if (token) sessionStorage.setItem("token", token);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// XMLHttpRequest, for it tells how much of an upload has gone.
function send(path, form, progress) {
  const request = new XMLHttpRequest();
  const answer = new Promise((resolve, reject) => {
    request.upload.onprogress = (event) => { if (event.lengthComputable) progress(event.loaded / event.total); };
    request.upload.onload = () => progress(null);
    request.onload = () => {
      let found = {};
      try { found = JSON.parse(request.responseText); } catch { /* not from the API */ }
      request.status === 200 ? resolve(found) : reject(new Error(found.error ?? `The server answers with status ${request.status}.`));
    };
    request.onerror = () => reject(new Error("The server cannot be reached; is it still running?"));
    request.onabort = () => reject(new Error("Stopped."));
  });
  request.open("POST", path);
  for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
  request.send(form);
  return { answer, stop: () => request.abort() };
}

async function video() {
  if (file) return file;
  const answer = await fetch(`examples/${example}`, { headers: authorization() });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return new File([await answer.blob()], example);
}

async function asked() {
  const form = new FormData();
  for (const label of lines()) form.append("labels", label);
  if (at("generic").checked) form.append("background", "generic");
  for (const id of ["start", "end"]) if (at(id).value) form.append(id, at(id).value);
  form.append("video", await video());
  return form;
}

function busy(is) {
  at("go").disabled = at("when").disabled = is;
  at("stop").hidden = at("progress").hidden = !is;
}

function advance(share) {
  if (share === null) at("progress").removeAttribute("value");
  else at("progress").value = share;
  say(share === null ? "The server looks at the video …" : `Sending: ${Math.round(100 * share)} % …`);
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function row(found) {
  const made = element("tr", "");
  const bar = element("span", "", { class: "bar" });
  bar.style.width = percent(found.score).replace(" ", "");
  const cell = element("td", "");
  cell.append(bar);
  const why = element("td", "");
  const button = element("button", "Why?", { type: "button", class: "small", "aria-label": `Why ${found.label}?` });
  button.addEventListener("click", () => ask("v1/explain", { label: found.label }, showReasons));
  why.append(button);
  made.append(element("th", found.group ? `${found.group}: ${found.label}` : found.label, { scope: "row" }), element("td", percent(found.score)), cell, why);
  return made;
}

function show(found) {
  const { video, predictions, accepted, none, frames, pictures = [], warnings = [] } = found;
  at("result-title").textContent = video;
  at("verdict").textContent = none ? "None of these." : `It shows: ${accepted.join(", ")}`;
  const seconds = frames.times.length === pictures.length ? frames.times : [];
  at("strip").replaceChildren(strip(pictures, seconds));
  at("notes").textContent = warnings.map((line) => `It ${line}.`).join(" ");
  at("scores").replaceChildren(...predictions.map(row));
  reveal("result");
}

// Curves: each has a color and a pattern of dashes, for those who do not tell the colors apart.
const LOOKS = [["#4c7dd8", "none"], ["#c26a00", "7 3"], ["#2a9d6a", "2 3"], ["#a154c4", "9 3 2 3"], ["#c2412d", "4 4"]];
const HIGH = 200, LEFT = 44, LOW = 20; // pixels; the drawing is as wide as the page is

function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function words(text, x, y, anchor) {
  const made = drawn("text", { x, y, "text-anchor": anchor, class: "soft" });
  made.textContent = text;
  return made;
}

function curves(found) {
  const { windows, labels, segments } = found;
  const begin = windows[0].start, end = windows.at(-1).end, wide = at("ask").clientWidth;
  at("curves").setAttribute("viewBox", `0 0 ${wide} ${HIGH}`);
  const x = (time) => LEFT + (wide - LEFT) * (time - begin) / (end - begin || 1);
  const y = (score) => (HIGH - LOW - 6) * (1 - score) + 6;
  const height = (i) => Math.max(...windows.map((one) => one.scores[i]));
  const told = new Set(segments.map((one) => one.label));
  const shown = labels.map((label, i) => ({ label, i, rank: told.has(label) + height(i) })).sort((a, b) => b.rank - a.rank).slice(0, LOOKS.length);
  const parts = [0, 0.5, 1].flatMap((score) => [
    drawn("line", { x1: LEFT, x2: wide, y1: y(score), y2: y(score), class: "axis" }), words(`${100 * score} %`, LEFT - 4, y(score) + 4, "end"),
  ]);
  parts.push(words(`${begin.toFixed(1)} s`, LEFT, HIGH - 4, "start"), words(`${end.toFixed(1)} s`, wide, HIGH - 4, "end"));
  const legend = [];
  shown.forEach(({ label, i }, place) => {
    const [stroke, dashes] = LOOKS[place];
    const look = { stroke, "stroke-dasharray": dashes, "stroke-width": 2.5 };
    for (const one of segments.filter((segment) => segment.label === label))
      parts.push(drawn("rect", { x: x(one.start), width: Math.max(x(one.end) - x(one.start), 1), y: HIGH - LOW, height: 6, fill: stroke }));
    const points = windows.map((one) => `${x((one.start + one.end) / 2).toFixed(1)} ${y(one.scores[i]).toFixed(1)}`);
    if (points.length === 1) points.unshift(`${LEFT} ${points[0].split(" ")[1]}`);
    parts.push(drawn("path", { d: `M${points.join("L")}`, ...look }));
    const sample = drawn("svg", { viewBox: "0 0 32 10", "aria-hidden": "true" });
    sample.append(drawn("line", { x1: 0, x2: 32, y1: 5, y2: 5, ...look }));
    const entry = element("li", "");
    entry.append(sample, label);
    legend.push(entry);
  });
  at("curves").replaceChildren(...parts);
  at("curves-legend").replaceChildren(...legend);
}

function showTimeline(found) {
  const { video, segments, windows, warnings = [] } = found;
  at("timeline-title").textContent = `${video} over time`;
  const none = segments.length ? "" : "Nothing stands out in it.";
  at("timeline-notes").textContent = [none, ...warnings.map((line) => `It ${line}.`)].join(" ");
  if (windows.length) curves(found);
  at("segments").parentElement.hidden = !segments.length;
  at("segments").replaceChildren(...segments.map((one) => {
    const made = element("tr", "");
    const number = { class: "number" };
    made.append(element("th", one.label, { scope: "row" }), element("td", `${one.start.toFixed(2)} s`, number), element("td", `${one.end.toFixed(2)} s`, number), element("td", percent(one.score), number));
    return made;
  }));
  reveal("timeline");
}

function reveal(id) {
  at(id).hidden = false;
  at(`${id}-title`).focus({ preventScroll: true });
  at(id).scrollIntoView({ block: "nearest" });
}

function showReasons(found) {
  const { label, score, frames, messages } = found.explained;
  at("why-title").textContent = `Why “${label}”?`;
  at("maps").replaceChildren(strip(found.maps, frames.map((one) => one.time)));
  const share = (value) => (value === null ? "" : percent(value));
  at("reasons").replaceChildren(...frames.map((one) => {
    const made = element("tr", "");
    const cells = [share(one.share), share(one.attention), share(one.without), one.evidence === null ? "" : one.evidence.toFixed(2).replace("-0.00", "0.00")];
    made.append(element("th", one.time === null ? `${one.index}` : `${one.time.toFixed(2)} s`, { scope: "row" }), ...cells.map((text) => element("td", text, { class: "number" })));
    return made;
  }));
  at("told").textContent = messages ? `Its score is ${percent(score)}; without messages between frames it would be ${percent(messages.without)}.` : `Its score is ${percent(score)}.`;
  reveal("why");
}

const PANELS = ["result", "why", "timeline"];

async function ask(path, more, shown) {
  remember();
  complain("");
  if (!file && !example) return complain("There is no video yet: drop one, choose one, or take an example.");
  if (at("labels").required && !lines().length) return complain("There are no labels yet: write what it may show, one on each line.");
  busy(true);
  for (const id of PANELS) at(id).hidden = !(shown === showReasons && id === "result");
  try {
    const form = await asked();
    for (const [name, value] of Object.entries(more)) form.append(name, value);
    if (path !== "v1/timeline") {
      form.append("pictures", "true");
      form.append("top", "20");
    }
    advance(0);
    running = send(path, form, advance);
    shown(await running.answer);
    say("Done.");
  } catch (error) {
    say("");
    complain(error.message);
  } finally {
    busy(false);
  }
}

function run(event) {
  event.preventDefault();
  return event.submitter === at("when") ? ask("v1/timeline", {}, showTimeline) : ask("v1/classify", {}, show);
}

function strip(pictures, times) {
  const made = element("div", "", { class: "strip" });
  made.append(...pictures.map((source, i) => element("img", "", {
    src: source, alt: times[i] == null ? `frame ${i + 1}` : `frame at ${times[i].toFixed(1)} seconds`,
  })));
  return made;
}

function hit(found) {
  const { video, start, end, similarity, label, pictures = [] } = found;
  const part = start == null && end == null ? "" : `, ${(start ?? 0).toFixed(1)} s to ${end == null ? "the end" : `${end.toFixed(1)} s`}`;
  const title = element("h3", `${video}${part} `);
  title.append(element("small", `· ${similarity.toFixed(3)}${label ? ` · ${label}` : ""}`));
  const made = element("li", "");
  made.append(title, strip(pictures, []));
  return made;
}

async function search(event) {
  event.preventDefault();
  const alike = event.submitter === at("alike");
  const fail = (text) => { at("found-problem").textContent = text; at("found-problem").hidden = !text; };
  fail("");
  at("found").replaceChildren();
  if (!alike && !at("words").value.trim()) return fail("There are no words yet: write what happens in the clips.");
  if (alike && !file && !example) return fail("There is no video yet: choose one above, or take an example.");
  at("found-status").textContent = "Searching …";
  try {
    const form = new FormData();
    if (alike) form.append("video", await video());
    else form.append("words", at("words").value);
    form.append("pictures", "true");
    const { hits } = await send("v1/search", form, () => {}).answer;
    at("found").replaceChildren(...hits.map(hit));
    at("found-status").textContent = hits.length ? `${hits.length} clips, best first.` : "No clip of the index fits.";
  } catch (error) {
    at("found-status").textContent = "";
    fail(error.message);
  }
}

at("ask").addEventListener("submit", run);
at("search")?.addEventListener("submit", search);
at("ask").addEventListener("input", remember);
at("stop").addEventListener("click", () => running?.stop());
at("video").addEventListener("change", () => choose(at("video").files[0] ?? null, ""));
for (const button of examples) button.addEventListener("click", () => {
  at("video").value = "";
  choose(null, button.dataset.name);
  at("labels").value = button.dataset.labels;
  remember();
});
for (const kind of ["dragover", "dragleave", "drop"]) at("drop").addEventListener(kind, (event) => {
  event.preventDefault();
  at("drop").classList.toggle("over", kind === "dragover");
  if (kind !== "drop" || !event.dataTransfer.files.length) return;
  at("video").files = event.dataTransfer.files;
  choose(at("video").files[0], "");
  remember();
});
addEventListener("hashchange", recall);
recall();
if (at("token")) at("token").value = sessionStorage.getItem("token") ?? "";
