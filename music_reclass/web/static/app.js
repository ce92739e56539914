"use strict";
// Keys, answers, player, jobs and the curve. Everything that changes the library goes through the REST API.
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

async function call(method, path, body) {
  const answer = await fetch("/api/v1" + path, {
    method, headers: body ? { "Content-Type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined,
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(typeof found.detail === "string" ? found.detail : `The server answered ${answer.status}.`), { status: answer.status });
  return found;
}

let toastTimer;
function toast(text) {
  const box = one("#toast");
  box.textContent = text;
  box.classList.add("on");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.classList.remove("on"), 4000);
}

// --- player: the very excerpt that the models used --------------------------------------------------------------
const audio = one("#audio"), wave = one("#wave");
let chosenTrack = 0, peaks = [];

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function drawWave() {
  const width = wave.width, height = wave.height, pen = wave.getContext("2d");
  pen.clearRect(0, 0, width, height);
  const count = peaks.length / 2, done = audio.duration ? audio.currentTime / audio.duration : 0;
  const highest = Math.max(1, ...peaks.map(Math.abs));
  for (let i = 0; i < count; i++) {
    pen.fillStyle = colour(i / count < done ? "--accent" : "--soft");
    const top = peaks[2 * i + 1] / highest, bottom = peaks[2 * i] / highest;
    pen.fillRect(i * width / count, height / 2 * (1 - top), Math.max(1, width / count - .5), Math.max(1, height / 2 * (top - bottom)));
  }
  wave.setAttribute("aria-valuenow", Math.round(audio.currentTime || 0));
}

async function play(track, title) {
  one("#player").hidden = false;
  if (chosenTrack === track) { audio.paused ? audio.play().catch(cannotPlay) : audio.pause(); return; }
  chosenTrack = track; peaks = []; drawWave();
  one("#playing").textContent = title || "";
  audio.src = `/api/v1/tracks/${track}/audio`;
  audio.play().catch(cannotPlay);
  const found = await call("GET", `/tracks/${track}/peaks`).catch(() => null);
  if (found && chosenTrack === track) { peaks = found.peaks; drawWave(); }
}
function cannotPlay(error) { if (error.name !== "AbortError") toast("This track cannot be played."); }
function seek(share) { if (audio.duration) { audio.currentTime = Math.max(0, Math.min(.999, share)) * audio.duration; drawWave(); } }
audio.addEventListener("timeupdate", drawWave);
for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, () => { one("#play").textContent = audio.paused ? "▶" : "❚❚"; });
one("#play").addEventListener("click", () => chosenTrack && play(chosenTrack));
wave.addEventListener("click", event => { const box = wave.getBoundingClientRect(); seek((event.clientX - box.left) / box.width); });
wave.addEventListener("keydown", event => {
  const step = { ArrowRight: .05, ArrowLeft: -.05 }[event.key];
  if (step && audio.duration) { seek(audio.currentTime / audio.duration + step); event.preventDefault(); }
});

// --- review -------------------------------------------------------------------------------------------------------
const holder = one("#album");
const queue = one("#queue") ? JSON.parse(one("#queue").textContent) : [];
const answered = [];
let trackOnly = false, busy = false; // while an answer is on its way keys decide nothing: the next album is not seen yet

const album = () => one(".album");
const rows = () => all(".row");
const currentRow = () => one(".row[aria-current]") || rows()[0];

function mark(row, focus = true) {
  if (!row) return;
  rows().forEach(other => other.removeAttribute("aria-current"));
  row.setAttribute("aria-current", "true");
  if (focus) { row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest" }); }
}
function move(step) { const list = rows(), at = list.indexOf(currentRow()); mark(list[Math.max(0, Math.min(list.length - 1, at + step))]); }

async function show(number) {
  if (!holder) return;
  const answer = await fetch(`/parts/album/${number || 0}`);
  if (!answer.ok) { toast("This album cannot be shown."); return; }
  holder.innerHTML = await answer.text();
  htmx.process(holder);
  history.replaceState(null, "", number ? `/review/${number}` : "/review");
  trackOnly = false;
  audio.pause();
  warm();
}
function following() {
  const now = Number(album()?.dataset.album), at = queue.indexOf(now);
  if (at >= 0) queue.splice(at, 1);
  return queue[Math.max(0, at)] ?? queue[0];
}
function warm() { // the next picture is there before it is asked for
  const next = queue[queue.indexOf(Number(album()?.dataset.album)) + 1];
  if (next) new Image().src = `/api/v1/tracks/${next}/cover`;
}

async function give(action, { genres = [], tracks, scope } = {}) {
  const shown = album();
  if (!shown || busy) return;
  busy = true;
  const number = Number(shown.dataset.album);
  const wholeAlbum = !tracks;
  const ids = tracks || shown.dataset.ids.split(",").map(Number);
  try {
    const found = await call("POST", "/decisions", { tracks: ids, action, genres, scope: scope || (wholeAlbum ? "album" : "track") });
    answered.push({ answer: found.answer, album: number });
    const said = action === "leave" ? "Left as it is" : action === "forget" ? "Forgotten" : [...new Set(found.items.flatMap(item => item.genres))].join(", ");
    toast(`${said}: ${found.count} ${found.count === 1 ? "track" : "tracks"}. u undoes it.`);
    if (!holder) { location.reload(); return; }
    if (wholeAlbum) await show(following()); else await show(number);
  } catch (error) { toast(error.message); } finally { busy = false; }
}
async function undo() {
  if (busy) return;
  busy = true;
  const last = answered.pop();
  try {
    await call("DELETE", `/decisions/${last ? last.answer : 0}`);
    toast("Undone.");
    if (last && holder) { if (!queue.includes(last.album)) queue.unshift(last.album); await show(last.album); } else location.reload();
  } catch (error) {
    if (last && error.status !== 410) answered.push(last); // it still stands
    toast(error.message);
  } finally { busy = false; }
}
function answer(action, genre, track, scope) {
  if (busy) return;
  const tracks = track ? [Number(track)] : trackOnly && currentRow() ? [Number(currentRow().dataset.track)] : undefined;
  trackOnly = false;
  if (action === "accept") return give("accept", { tracks });
  if (action === "change") return give("change", { genres: [genre], tracks });
  if (action === "leave") return give("leave", { tracks });
  if (action === "forget") return give("forget", { tracks, scope: scope || "album" });
  if (action === "undo") return undo();
  if (action === "search") return searchGenre();
  if (action === "skip") { const now = Number(album()?.dataset.album), next = following(); queue.push(now); busy = true; return show(next).finally(() => { busy = false; }); }
}

function searchGenre() {
  const box = one("#genres"), input = one("#genre-input"), list = one("#genre-found");
  if (!box) return;
  const names = all("#genre-names option").map(option => option.value);
  let chosen = 0;
  const fill = () => {
    const text = input.value.trim().toLowerCase();
    const found = names.filter(name => name.toLowerCase().includes(text))
      .sort((one, other) => (other.toLowerCase().startsWith(text) - one.toLowerCase().startsWith(text)) || one.length - other.length).slice(0, 12);
    chosen = Math.max(0, Math.min(chosen, found.length - 1));
    list.replaceChildren(...found.map((name, at) => {
      const item = document.createElement("li");
      item.textContent = name; item.setAttribute("role", "option"); item.setAttribute("aria-selected", at === chosen);
      item.addEventListener("click", () => { input.value = name; box.close("ok"); });
      return item;
    }));
  };
  input.value = ""; input.removeAttribute("list"); fill(); box.returnValue = ""; box.showModal(); input.focus();
  input.oninput = () => { chosen = 0; fill(); };
  input.onkeydown = event => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { chosen += event.key === "ArrowDown" ? 1 : -1; fill(); event.preventDefault(); }
    if (event.key === "Enter") { const item = one("[aria-selected=true]", list); if (item) input.value = item.textContent; event.preventDefault(); box.close("ok"); }
  };
  box.onclose = () => { if (box.returnValue === "ok" && input.value.trim()) answer("change", input.value.trim()); };
}

document.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.play) { mark(button.closest(".row"), false); play(Number(button.dataset.play), button.closest("[data-title]")?.dataset.title); }
  else if (button.dataset.answer) answer(button.dataset.answer, button.dataset.genre, button.dataset.for, button.dataset.scope);
  else if (button.dataset.job && button.type !== "submit" || button.dataset.job && !button.form) startJob(button.dataset);
});
document.addEventListener("submit", event => {
  const form = event.target;
  if (form.dataset.change) { event.preventDefault(); give("change", { genres: [form.elements.genre.value], tracks: [Number(form.dataset.change)] }); }
  else if (form.dataset.job === "scan") { event.preventDefault(); startJob({ job: "scan", path: form.elements.path.value, write: form.elements.write.checked }); }
});
all(".cover").forEach(image => { if (image.complete && !image.naturalWidth) image.hidden = true; }); // it failed before this ran
document.addEventListener("error", event => { if (event.target.classList?.contains("cover")) event.target.hidden = true; }, true);
for (const cover of document.querySelectorAll(".cover")) if (cover.complete && !cover.naturalWidth) cover.hidden = true; // it failed before this ran

document.addEventListener("keydown", event => {
  const typing = event.target.closest?.("input, select, textarea, dialog, [role=slider]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const reviewing = Boolean(holder && album());
  const key = event.key;
  let handled = true;
  if (key === "?") one("#help").showModal();
  else if (key === "j") move(1);
  else if (key === "k") move(-1);
  else if (key === " ") { const row = currentRow(), track = row?.dataset.track || album()?.dataset.album; if (track) play(Number(track), row?.dataset.title); }
  else if (key === "/") { if (reviewing) searchGenre(); else if (one("#search")) one("#search").focus(); else handled = false; }
  else if (key === "u") undo();
  else if (reviewing && key === "a") answer("accept");
  else if (reviewing && key === "s") answer("skip");
  else if (reviewing && key === "x") answer("leave");
  else if (reviewing && key === "t") { trackOnly = true; toast("The next answer is for this track alone."); }
  else if (reviewing && key >= "1" && key <= "9") { const genre = album().dataset.choices.split("|")[Number(key) - 1]; if (genre) answer("change", genre); }
  else handled = false;
  if (handled) event.preventDefault();
});
one("#help-button").addEventListener("click", () => one("#help").showModal());

// --- jobs ---------------------------------------------------------------------------------------------------------
let events;
async function startJob(wanted) {
  if (wanted.ask && !confirm(wanted.ask)) return;
  const [path, body] = {
    scan: () => ["/scan", { paths: [wanted.path], write: Boolean(wanted.write) }],
    apply: () => ["/apply", { tracks: wanted.tracks ? wanted.tracks.split(",").map(Number) : [] }],
    undo: () => [`/runs/${wanted.run}/undo`, undefined],
    plex: () => [`/plex/${wanted.action}`, undefined],
  }[wanted.job]();
  try { showJob(await call("POST", path, body)); follow(true); } catch (error) { toast(error.message); }
}
function showJob(job) {
  const box = one("#job");
  box.hidden = !job.command;
  if (!job.command) return;
  const share = job.total ? ` ${job.done.toLocaleString()} of ${job.total.toLocaleString()}` : "";
  const text = document.createElement("span"), counts = Object.entries(job.counts).map(([name, n]) => `${name} ${n.toLocaleString()}`).join(", ");
  text.textContent = job.running ? `${job.command}: ${job.stopping ? "stopping" : job.phase || "at work"}${share} ${job.note}` : `${job.command} ${job.code === 0 ? "is done" : job.code === 130 ? "was stopped" : "ended with " + job.code}${counts ? ": " + counts : ""}.`;
  box.replaceChildren(text);
  if (job.running) {
    const bar = document.createElement("progress");
    if (job.total) { bar.max = job.total; bar.value = job.done; }
    bar.setAttribute("aria-label", "progress");
    const stop = document.createElement("button");
    stop.textContent = "Stop"; stop.className = "quiet";
    stop.addEventListener("click", () => call("DELETE", "/job").catch(error => toast(error.message)));
    box.append(bar, stop);
  } else {
    if (job.messages.length) { const said = document.createElement("pre"); said.textContent = job.messages.join("\n"); box.append(said); }
    const close = document.createElement("button");
    close.textContent = "Close"; close.className = "quiet";
    close.addEventListener("click", () => { sessionStorage.setItem("closed", job.id); box.hidden = true; });
    box.append(close);
  }
}
function follow(started) {
  events?.close();
  events = new EventSource("/api/v1/job/events");
  events.onmessage = event => {
    const job = JSON.parse(event.data);
    if (!job.command || (!started && !job.running && sessionStorage.getItem("closed") === String(job.id))) { events.close(); return; }
    if (!job.running) events.close();
    if (job.running || started) showJob(job);
    started = started || job.running;
  };
  events.onerror = () => events.close();
}
follow(false);

// --- coverage and precision ---------------------------------------------------------------------------------------
const slider = one("#least");
if (slider) {
  const curve = JSON.parse(one("#curve-data").textContent), canvas = one("#curve");
  const drawCurve = () => {
    const pen = canvas.getContext("2d"), edge = 36, width = canvas.width - edge - 10, height = canvas.height - edge - 10;
    const most = Math.max(1, curve[0].tracks), least = Number(slider.value);
    const at = (x, y) => [edge + x * width, 10 + (1 - y) * height];
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.font = "12px system-ui, sans-serif"; pen.fillStyle = colour("--text"); pen.strokeStyle = colour("--line"); pen.lineWidth = 1;
    for (let step = 0; step <= 4; step++) {
      const [x, y] = at(step / 4, step / 4);
      pen.beginPath(); pen.moveTo(edge, y); pen.lineTo(edge + width, y); pen.stroke();
      pen.textAlign = "right"; pen.fillText(step / 4, edge - 5, y + 4);
      pen.textAlign = "center"; pen.fillText(step / 4, x, canvas.height - 18);
    }
    pen.fillText("least confidence", edge + width / 2, canvas.height - 3);
    for (const [name, value, label] of [["--accent", point => point.tracks / most, "share of decided tracks"], ["--good", point => point.expected_right, "expected right"]]) {
      pen.strokeStyle = pen.fillStyle = colour(name); pen.lineWidth = 2; pen.beginPath();
      curve.forEach((point, index) => { const [x, y] = at(point.confidence, value(point)); index ? pen.lineTo(x, y) : pen.moveTo(x, y); });
      pen.stroke(); pen.textAlign = "left"; pen.fillText(label, edge + 12, name === "--accent" ? 10 + height - 24 : 10 + height - 8);
    }
    const [x] = at(least, 0);
    pen.strokeStyle = colour("--warn"); pen.beginPath(); pen.moveTo(x, 10); pen.lineTo(x, 10 + height); pen.stroke();
    const point = curve.reduce((best, other) => Math.abs(other.confidence - least) < Math.abs(best.confidence - least) ? other : best);
    one("#least-text").textContent = `From ${Math.round(least * 100)} % on: ${point.tracks.toLocaleString()} tracks, of which about ${(point.expected_right * 100).toFixed(1)} % should be right (--min-confidence ${least}).`;
  };
  slider.addEventListener("input", drawCurve);
  drawCurve();
}
document.documentElement.dataset.ready = "yes"; // keys are heeded from now on
