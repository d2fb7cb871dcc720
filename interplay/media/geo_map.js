"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const outlines = JSON.parse(byId("land").textContent);
  const map = byId("map");
  const canvas = map.querySelector("canvas");
  const pen = canvas.getContext("2d");
  const EARTH_M = 2 * Math.PI * 6371008.8;
  const [NEAREST, NEAREST_FIT] = [256 * 2 ** 17, 256 * 2 ** 14];
  const MARGIN = 48;
  const TOGETHER_PX = 22;

  // Mercator: the world is 1 wide and 1 high, x from the date line eastwards, y from the north down.
  const LIMIT = 85.0511;
  const xOf = (longitude) => (longitude + 180) / 360;
  const yOf = (latitude) => {
    const angle = (Math.max(-LIMIT, Math.min(LIMIT, latitude)) * Math.PI) / 180;
    return (1 - Math.log(Math.tan(Math.PI / 4 + angle / 2)) / Math.PI) / 2;
  };
  const EDGES = [yOf(90), yOf(-90)];
  const latitudeOf = (y) => (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI;
  const longitudeOf = (x) => ((((x * 360) % 360) + 360) % 360) - 180;

  const land = outlines.rings.map((steps) => {
    const xs = new Float64Array(steps.length / 2);
    const ys = new Float64Array(steps.length / 2);
    let east = 0, north = 0, left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
    for (let i = 0; i < xs.length; i++) {
      east += steps[2 * i];
      north += steps[2 * i + 1];
      xs[i] = xOf(east / outlines.steps);
      ys[i] = yOf(north / outlines.steps);
      left = Math.min(left, xs[i]);
      right = Math.max(right, xs[i]);
      top = Math.min(top, ys[i]);
      bottom = Math.max(bottom, ys[i]);
    }
    return { xs, ys, left, right, top, bottom };
  });
  const circle = data.circle.map((ring) => ring.map(([latitude, longitude]) => [xOf(longitude), yOf(latitude)]));
  const place = data.place && { x: xOf(data.place[1]), y: yOf(data.place[0]) };

  // What is looked at: the middle, and how many pixels the world is wide.
  const view = { x: 0.5, y: 0.5, scale: 512 };
  let width = 1, height = 1;
  const farthest = () => Math.min(width, height);
  const clamp = (value, least, most) => Math.max(least, Math.min(most, value));
  const column = (x) => (x - view.x) * view.scale + width / 2;
  const row = (y) => (y - view.y) * view.scale + height / 2;

  function show(x, y, scale) {
    view.scale = clamp(scale, farthest(), NEAREST);
    const half = height / 2 / view.scale;
    view.x = x;
    view.y = half < 0.5 ? clamp(y, half, 1 - half) : 0.5;
    requestDraw();
  }

  function showAll() {
    const points = hits.map(({ x, y }) => [x, y]).concat(circle.flat());
    if (place) points.push([place.x, place.y]);
    if (!points.length) return show(0.5, 0.45, Math.max(width, height));
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    // With a place in the middle, what is farthest from it decides.
    const middle = place || { x: (left + right) / 2, y: (top + bottom) / 2 };
    const across = 2 * Math.max(middle.x - left, right - middle.x, 1e-9);
    const down = 2 * Math.max(middle.y - top, bottom - middle.y, 1e-9);
    const scale = Math.min((width - 2 * MARGIN) / Math.min(across, 1), (height - 2 * MARGIN) / Math.min(down, 1));
    return show(middle.x, middle.y, Math.min(scale, NEAREST_FIT));
  }

  function zoom(factor, px = width / 2, py = height / 2) {
    const scale = clamp(view.scale * factor, farthest(), NEAREST);
    // The place under the pointer stays there.
    const x = view.x + (px - width / 2) * (1 / view.scale - 1 / scale);
    const y = view.y + (py - height / 2) * (1 / view.scale - 1 / scale);
    show(x, y, scale);
  }

  const pan = (dx, dy) => show(view.x + dx / view.scale, view.y + dy / view.scale, view.scale);

  // Drawing

  let asked = false;
  function requestDraw() {
    if (!asked) requestAnimationFrame(draw);
    asked = true;
  }

  function copies(left, right) {
    const half = width / 2 / view.scale;
    const found = [];
    for (let k = Math.ceil(view.x - half - right); k <= Math.floor(view.x + half - left); k++) found.push(k);
    return found;
  }

  function draw() {
    asked = false;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    const sharp = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * sharp) || canvas.height !== Math.round(height * sharp)) {
      canvas.width = Math.round(width * sharp);
      canvas.height = Math.round(height * sharp);
    }
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.fillStyle = colour("--sea");
    pen.fillRect(0, 0, width, height);
    drawLand(colour("--land"));
    drawGrid(colour("--grid"), colour("--grid-text"));
    if (circle.length) drawCircle(colour("--circle"));
    if (place) drawPlace(colour("--here"), colour("--panel"));
    drawScale(colour("--text"));
    placeMarkers();
    map.dataset.latitude = latitudeOf(view.y).toFixed(5);
    map.dataset.longitude = longitudeOf(view.x).toFixed(5);
    map.dataset.zoom = Math.log2(view.scale / 256).toFixed(3);
  }

  function drawLand(colour) {
    const half = height / 2 / view.scale;
    pen.beginPath();
    for (const ring of land) {
      if (ring.bottom < view.y - half || ring.top > view.y + half) continue;
      for (const k of copies(ring.left, ring.right)) {
        pen.moveTo(column(ring.xs[0] + k), row(ring.ys[0]));
        for (let i = 1; i < ring.xs.length; i++) pen.lineTo(column(ring.xs[i] + k), row(ring.ys[i]));
        pen.closePath();
      }
    }
    pen.fillStyle = pen.strokeStyle = colour;
    pen.lineWidth = 0.7; // closes the seam at the date line
    pen.fill("evenodd");
    pen.stroke();
  }

  const STEPS = [90, 45, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

  function drawGrid(colour, text) {
    const step = STEPS.reduce((best, s) => ((s * view.scale) / 360 >= 70 ? s : best), STEPS[0]);
    const digits = Math.max(0, Math.ceil(-Math.log10(step)));
    const half = width / 2 / view.scale;
    const lines = [];
    pen.strokeStyle = colour;
    pen.fillStyle = text;
    pen.lineWidth = 0.5;
    pen.font = "11px system-ui, sans-serif";
    pen.beginPath();
    const first = Math.ceil(((view.x - half) * 360 - 180) / step), last = Math.floor(((view.x + half) * 360 - 180) / step);
    for (let i = first; i <= last; i++) {
      const px = column(xOf(i * step));
      pen.moveTo(px, 0);
      pen.lineTo(px, height);
      const east = longitudeOf(xOf(i * step));
      const shown = Math.abs(east).toFixed(digits);
      const side = Number(shown) === 0 || Number(shown) === 180 ? "" : east < 0 ? " W" : " E";
      lines.push([`${shown}°${side}`, px + 3, 12]);
    }
    for (let i = Math.ceil(-90 / step); i <= 90 / step; i++) {
      const py = row(yOf(i * step));
      if (Math.abs(i * step) > LIMIT || py < 24 || py > height - 24) continue;
      pen.moveTo(0, py);
      pen.lineTo(width, py);
      const shown = Math.abs(i * step).toFixed(digits);
      lines.push([`${shown}°${Number(shown) === 0 ? "" : i < 0 ? " S" : " N"}`, width - 52, py - 3]);
    }
    pen.stroke();
    for (const [label, px, py] of lines) pen.fillText(label, px, py);
  }

  function drawCircle(colour) {
    const xs = circle.flat().map(([x]) => x);
    const [area, line] = [new Path2D(), new Path2D()];
    for (const k of copies(Math.min(...xs), Math.max(...xs))) {
      for (const ring of circle) {
        ring.forEach(([x, y], i) => {
          const [px, py] = [column(x + k), row(y)];
          i ? area.lineTo(px, py) : area.moveTo(px, py);
          // Along the map's edges there is no line.
          const edge = y === EDGES[0] || y === EDGES[1] || !i || ring[i - 1][1] === EDGES[0] || ring[i - 1][1] === EDGES[1];
          edge ? line.moveTo(px, py) : line.lineTo(px, py);
        });
        area.closePath();
      }
    }
    pen.fillStyle = pen.strokeStyle = colour;
    pen.globalAlpha = 0.1;
    pen.fill(area, "evenodd");
    pen.globalAlpha = 0.9;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 4]);
    pen.stroke(line);
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  function drawPlace(colour, rim) {
    const px = column(place.x + Math.round(view.x - place.x)), py = row(place.y);
    for (const [style, lineWidth] of [[rim, 6], [colour, 3]]) {
      pen.strokeStyle = style;
      pen.lineWidth = lineWidth;
      pen.beginPath();
      pen.arc(px, py, 9, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(px + 5 * dx, py + 5 * dy);
        pen.lineTo(px + 15 * dx, py + 15 * dy);
      }
      pen.stroke();
    }
  }

  function drawScale(colour) {
    const metres = (EARTH_M * Math.cos((latitudeOf(view.y) * Math.PI) / 180) * 120) / view.scale;
    const power = 10 ** Math.floor(Math.log10(metres));
    const length = [5, 2, 1].find((n) => n * power <= metres) * power;
    const px = (120 * length) / metres;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(14, height - 16);
    pen.lineTo(14, height - 11);
    pen.lineTo(14 + px, height - 11);
    pen.lineTo(14 + px, height - 16);
    pen.stroke();
    pen.fillText(length >= 1000 ? `${(length / 1000).toLocaleString("en")} km` : `${length} m`, 20, height - 17);
  }

  // Markers and cards: one of each for a hit. Markers that would cover one another stand together under the best.

  const cards = new Map([...document.querySelectorAll(".card")].map((card) => [Number(card.dataset.hit), card]));
  const hits = data.hits.map(([number, latitude, longitude]) => {
    const marker = document.createElement("button");
    const hit = { number, x: xOf(longitude), y: yOf(latitude), marker, card: cards.get(number), leader: null };
    marker.className = "marker";
    marker.title = hit.card.querySelector(".caption").textContent;
    marker.append(String(number), document.createElement("small"));
    byId("markers").prepend(marker); // the best is on top
    marker.addEventListener("click", () => select(hit));
    hit.card.addEventListener("click", () => visit(hit));
    for (const element of [marker, hit.card]) {
      for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
        element.addEventListener(event, () => light(hit, on));
      }
    }
    return hit;
  });
  let selected = null;

  function placeMarkers() {
    const groups = [];
    for (const hit of hits) {
      const px = column(hit.x + Math.round(view.x - hit.x)), py = row(hit.y);
      const group = groups.find((other) => Math.hypot(other.px - px, other.py - py) < TOGETHER_PX);
      hit.leader = group ? group.hit : hit;
      hit.marker.hidden = Boolean(group);
      if (group) group.others += 1;
      else groups.push({ hit, px, py, others: 0 });
    }
    for (const { hit, px, py, others } of groups) {
      hit.marker.style.transform = `translate(${px.toFixed(1)}px, ${py.toFixed(1)}px)`;
      hit.marker.lastChild.textContent = others ? `+${others}` : "";
      hit.marker.setAttribute("aria-label", others ? `Hit ${hit.number} and ${others} more` : `Hit ${hit.number}`);
    }
  }

  function light(hit, on) {
    const lit = on || hit === selected;
    hit.card.classList.toggle("lit", lit);
    for (const other of hits) other.marker.classList.remove("lit");
    if (selected) selected.leader.marker.classList.add("lit");
    if (on) hit.leader.marker.classList.add("lit");
  }

  function select(hit) {
    const before = selected;
    selected = hit;
    if (before) light(before, false);
    light(hit, true);
    hit.card.scrollIntoView({ block: "nearest" });
  }

  function visit(hit) {
    select(hit);
    const px = column(hit.x + Math.round(view.x - hit.x)), py = row(hit.y);
    const inside = px > MARGIN && px < width - MARGIN && py > MARGIN && py < height - MARGIN;
    if (hit.leader !== hit) show(hit.x, hit.y, Math.max(view.scale * 4, 256 * 2 ** 8));
    else if (!inside) show(hit.x, hit.y, view.scale);
    requestAnimationFrame(() => light(hit, true));
  }

  // Mouse, touch, keys, buttons

  const pointers = new Map();
  const at = (event) => {
    const box = map.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  map.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button") || event.button > 0) return;
    map.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    map.classList.add("moving");
  });
  map.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = at(event);
    if (pointers.size === 1) pan(before[0] - now[0], before[1] - now[1]);
    else if (pointers.size === 2) {
      const [, other] = [...pointers].find(([id]) => id !== event.pointerId);
      const apart = (a) => Math.max(8, Math.hypot(a[0] - other[0], a[1] - other[1]));
      const middle = (a, axis) => (a[axis] + other[axis]) / 2;
      pan(middle(before, 0) - middle(now, 0), middle(before, 1) - middle(now, 1));
      zoom(apart(now) / apart(before), middle(now, 0), middle(now, 1));
    }
    pointers.set(event.pointerId, now);
  });
  for (const event of ["pointerup", "pointercancel"]) {
    map.addEventListener(event, ({ pointerId }) => {
      pointers.delete(pointerId);
      if (!pointers.size) map.classList.remove("moving");
    });
  }
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    zoom(2 ** clamp((-event.deltaY * lines) / 240, -1, 1), ...at(event));
  }, { passive: false });
  map.addEventListener("dblclick", (event) => {
    if (!event.target.closest("button")) zoom(2, ...at(event));
  });
  byId("in").addEventListener("click", () => zoom(2));
  byId("out").addEventListener("click", () => zoom(0.5));
  byId("all").addEventListener("click", showAll);
  const KEYS = {
    ArrowLeft: () => pan(-80, 0), ArrowRight: () => pan(80, 0), ArrowUp: () => pan(0, -80), ArrowDown: () => pan(0, 80),
    "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(0.5), 0: showAll,
  };
  map.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  let begun = false;
  new ResizeObserver(() => {
    [width, height] = [map.clientWidth, map.clientHeight];
    if (begun) show(view.x, view.y, view.scale);
    else showAll();
    begun = true;
  }).observe(map);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", requestDraw);
})();
