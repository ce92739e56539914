"use strict";
// All tracks as points on a canvas: drawn from typed arrays, a grid finds the one under the pointer.
(async () => {
  const canvas = document.querySelector("#map"), pen = canvas.getContext("2d"), text = document.querySelector("#map-text");
  let found = { making: true };
  for (let tries = 0; found.making && tries < 600; tries++) {
    if (tries) { text.textContent = "The map is being made…"; await new Promise(done => setTimeout(done, 1000)); }
    const answer = await fetch("/api/v1/map");
    found = answer.ok ? await answer.json() : { count: 0 };
  }
  text.textContent = "";
  if (!found.count) { text.textContent = "There are too few tracks with features for a map; scan some music first."; return; }
  const bytes = words => Uint8Array.from(atob(words), letter => letter.charCodeAt(0)).buffer;
  const steps = new Uint32Array(bytes(found.ids)), x = new Uint16Array(bytes(found.x)), y = new Uint16Array(bytes(found.y)), genre = new Uint16Array(bytes(found.genre));
  const ids = new Float64Array(found.count);
  let sum = 0;
  for (let i = 0; i < found.count; i++) ids[i] = sum += steps[i];
  const palette = found.genres.map((_, i) => `hsl(${(i * 137.508) % 360} 62% ${i % 2 ? 46 : 58}%)`);
  const hidden = new Set();
  let scale = 1, left = 0, top = 0, under = -1, alike = [];
  const places = new Map();
  const size = () => { canvas.width = canvas.clientWidth * devicePixelRatio; canvas.height = canvas.clientHeight * devicePixelRatio; };
  const base = () => .94 * Math.min(canvas.width, canvas.height) / found.grid;
  const place = i => [left + (x[i] - found.grid / 2) * base() * scale + canvas.width / 2, top - (y[i] - found.grid / 2) * base() * scale + canvas.height / 2];
  const CELLS = 64, grid = Array.from({ length: CELLS * CELLS }, () => []);
  const cell = value => Math.min(CELLS - 1, Math.floor(value / (found.grid + 1) * CELLS));
  for (let i = 0; i < found.count; i++) grid[cell(y[i]) * CELLS + cell(x[i])].push(i);
  let pending = false;
  function draw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      const dot = Math.max(1.2, Math.min(9, Math.sqrt(scale) * Math.max(1.4, 100 / Math.sqrt(found.count)))) * devicePixelRatio;
      pen.globalAlpha = found.count > 50000 && scale < 4 ? .5 : .85;
      for (let g = 0; g < palette.length; g++) {
        if (hidden.has(g)) continue;
        pen.fillStyle = palette[g];
        for (let i = 0; i < found.count; i++) {
          if (genre[i] !== g) continue;
          const [a, b] = place(i);
          if (a > -5 && b > -5 && a < canvas.width + 5 && b < canvas.height + 5) pen.fillRect(a - dot / 2, b - dot / 2, dot, dot);
        }
      }
      pen.globalAlpha = 1;
      pen.lineWidth = 2; pen.strokeStyle = getComputedStyle(canvas).color;
      for (const i of alike) { const [a, b] = place(i); pen.beginPath(); pen.arc(a, b, 2.2 * dot, 0, 7); pen.stroke(); }
      if (under >= 0) { const [a, b] = place(under); pen.lineWidth = 2; pen.strokeStyle = getComputedStyle(canvas).color; pen.strokeRect(a - dot, b - dot, 2 * dot, 2 * dot); }
    });
  }
  function nearest(event) {
    const box = canvas.getBoundingClientRect(), px = (event.clientX - box.left) * devicePixelRatio, py = (event.clientY - box.top) * devicePixelRatio;
    const gx = (px - canvas.width / 2 - left) / (base() * scale) + found.grid / 2, gy = found.grid / 2 - (py - canvas.height / 2 - top) / (base() * scale);
    let best = -1, least = (12 * devicePixelRatio) ** 2;
    const reach = Math.ceil(12 * devicePixelRatio / (base() * scale) / (found.grid + 1) * CELLS) + 1;
    for (let row = cell(Math.max(0, gy)) - reach; row <= cell(Math.max(0, gy)) + reach; row++) for (let column = cell(Math.max(0, gx)) - reach; column <= cell(Math.max(0, gx)) + reach; column++) {
      if (row < 0 || column < 0 || row >= CELLS || column >= CELLS) continue;
      for (const i of grid[row * CELLS + column]) {
        if (hidden.has(genre[i])) continue;
        const [a, b] = place(i), distance = (a - px) ** 2 + (b - py) ** 2;
        if (distance < least) { least = distance; best = i; }
      }
    }
    return best;
  }
  async function ring(number) { // the tracks that sound most like it
    alike = []; draw();
    const answer = await call("GET", `/tracks/${number}/similar`).catch(() => null);
    if (!answer || canvas.dataset.track !== String(number)) return;
    if (!places.size) for (let i = 0; i < found.count; i++) places.set(ids[i], i);
    alike = answer.items.map(item => places.get(item.id)).filter(i => i !== undefined);
    canvas.dataset.alike = alike.length; draw();
  }
  let drag = null, moved = false, known = new Map(), asked = 0;
  async function tell(i) {
    if (i < 0) { text.textContent = ""; return; }
    const mine = ++asked, number = ids[i];
    if (!known.has(number)) known.set(number, await call("GET", `/tracks/${number}`).catch(() => null));
    if (known.size > 500) known.delete(known.keys().next().value);
    const track = known.get(number);
    if (mine === asked && track) text.textContent = `${[track.artist, track.title || track.file].filter(Boolean).join(" – ")} · ${track.genre || "no genre"}`;
  }
  canvas.addEventListener("pointerdown", event => { drag = [event.clientX, event.clientY]; moved = false; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", event => {
    drag = null;
    if (moved) return;
    under = nearest(event); draw(); tell(under);
    if (under >= 0) { canvas.dataset.track = ids[under]; ring(ids[under]); play(ids[under], found.genres[genre[under]]); }
  });
  canvas.addEventListener("pointermove", event => {
    if (drag) {
      const dx = event.clientX - drag[0], dy = event.clientY - drag[1];
      if (Math.abs(dx) + Math.abs(dy) > 3) moved = true;
      left += dx * devicePixelRatio; top += dy * devicePixelRatio; drag = [event.clientX, event.clientY]; draw(); return;
    }
    const now = nearest(event);
    if (now !== under) { under = now; draw(); tell(now); }
  });
  function zoom(factor, px = canvas.width / 2, py = canvas.height / 2) {
    const next = Math.max(.5, Math.min(200, scale * factor)), ratio = next / scale;
    left = (left - (px - canvas.width / 2)) * ratio + (px - canvas.width / 2); top = (top - (py - canvas.height / 2)) * ratio + (py - canvas.height / 2);
    scale = next; draw();
  }
  canvas.addEventListener("wheel", event => { const box = canvas.getBoundingClientRect(); zoom(Math.exp(-event.deltaY / 300), (event.clientX - box.left) * devicePixelRatio, (event.clientY - box.top) * devicePixelRatio); event.preventDefault(); }, { passive: false });
  canvas.addEventListener("keydown", event => {
    const by = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (by) { left += by[0]; top += by[1]; draw(); } else if (event.key === "+") zoom(1.4); else if (event.key === "-") zoom(1 / 1.4); else return;
    event.preventDefault();
  });
  const legend = document.querySelector("#legend");
  found.genres.forEach((name, g) => {
    const item = document.createElement("li"), button = document.createElement("button"), shape = document.createElementNS("http://www.w3.org/2000/svg", "svg"), box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    shape.setAttribute("width", 12); shape.setAttribute("height", 12); box.setAttribute("width", 12); box.setAttribute("height", 12); box.setAttribute("fill", palette[g]); shape.append(box);
    button.className = "quiet"; button.setAttribute("aria-pressed", "true"); button.append(shape, name);
    button.addEventListener("click", () => { hidden.has(g) ? hidden.delete(g) : hidden.add(g); button.setAttribute("aria-pressed", String(!hidden.has(g))); draw(); });
    item.append(button); legend.append(item);
  });
  addEventListener("resize", () => { size(); draw(); });
  size(); draw();
  canvas.dataset.ready = found.count;
})();
