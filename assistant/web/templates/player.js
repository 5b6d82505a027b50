// Three skeletons on one clock: learner, corrected learner and expert. Drag to turn them.
"use strict";
const poise = (() => {
  const data = JSON.parse(document.getElementById("poise-data").textContent);
  const root = document.getElementById("player");
  const scrubber = document.getElementById("scrubber");
  const clock = document.getElementById("clock");
  const play = document.getElementById("play");
  const ghost = document.getElementById("ghost");
  const playhead = document.getElementById("playhead");
  const stages = [...root.querySelectorAll("canvas")].map((canvas) => ({
    canvas, pen: canvas.getContext("2d"), name: canvas.dataset.track,
  }));
  const ELEVATION = 0.16; // radians that the camera looks down
  const HEAD_TOP = 0.16; // metres from the middle of the head to its top, and a margin
  const state = { time: data.first, playing: false, speed: 1, yaw: -55, whole: !data.window, last: 0 };

  // COCO-17: 0 nose, 3 4 ears, 5 6 shoulders, 9 10 wrists, 11 12 hips, 15 16 ankles.
  const trackOf = (name) => (state.whole ? (name === "learner" ? data.tracks.clip : data.tracks[name])
    : data.tracks[name] || data.tracks.clip);
  const range = () => (state.whole ? [0, data.duration] : data.window);

  // The joints of a track at a time, interpolated: 17 points in metres, null where missing.
  function sample(track, time) {
    const last = track.mm.length - 1;
    const at = Math.min(Math.max((time - track.start) / track.step, 0), last);
    const low = track.mm[Math.floor(at)], high = track.mm[Math.min(Math.floor(at) + 1, last)];
    const part = at - Math.floor(at);
    return Array.from({ length: 17 }, (_, joint) => {
      const point = [0, 1, 2].map((axis) => {
        const a = low[3 * joint + axis], b = high[3 * joint + axis];
        return a === null || b === null ? NaN : (a + (b - a) * part) / 1000;
      });
      return Number.isNaN(point[0]) ? null : point;
    });
  }

  function middle(joints, ids) {
    const found = ids.map((id) => joints[id]).filter(Boolean);
    return found.length ? [0, 1, 2].map((axis) => found.reduce((sum, p) => sum + p[axis], 0) / found.length) : null;
  }

  // The upright cylinder around all tracks in view, so that every skeleton has the same scale.
  function extent(names) {
    const points = [];
    for (const name of names) {
      const { mm } = trackOf(name), step = Math.max(1, Math.floor(mm.length / 120));
      for (let i = 0; i < mm.length; i += step) {
        for (let at = 0; at < 51; at += 3) {
          if (mm[i][at] !== null) points.push(mm[i].slice(at, at + 3).map((value) => value / 1000));
        }
      }
    }
    const [low, high] = [Math.min, Math.max].map((pick) => [0, 1, 2].map((axis) =>
      points.reduce((best, point) => pick(best, point[axis]), axis === 2 ? 1.2 : 0)));
    const centre = [0, 1].map((axis) => (low[axis] + high[axis]) / 2);
    const wide = points.reduce((best, [x, y]) => Math.max(best, Math.hypot(x - centre[0], y - centre[1])), 0.4);
    return { high: Math.min(high[2] + HEAD_TOP, 3), wide: Math.min(wide, 1.3), centre };
  }
  const extents = {};
  const reach = () => (extents[state.whole] ??= extent(stages.map((stage) => stage.name)));

  let colours = {};
  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["you", "expert", "corrected", "ghost", "fix", "fix-fill", "sunk", "line", "soft"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
  }
  const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  function mix(from, to, share) {
    const a = channels(from), b = channels(to);
    return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * share)).join(" ")})`;
  }

  function camera(stage) {
    const { width, height } = stage.canvas, { high, wide, centre } = reach();
    const yaw = (state.yaw * Math.PI) / 180, sin = Math.sin(yaw), cos = Math.cos(yaw);
    const scale = Math.min((0.84 * height) / high, (0.46 * width) / wide);
    const floor = height * 0.91;
    const project = ([east, north, z]) => {
      const x = east - centre[0], y = north - centre[1];
      const near = x * cos + y * sin; // towards the viewer
      return [
        width / 2 + scale * (y * cos - x * sin),
        floor - scale * (z * Math.cos(ELEVATION) - near * Math.sin(ELEVATION)),
        near,
      ];
    };
    return { project, scale, centre };
  }

  function drawFloor(stage, { project, scale, centre }, joints) {
    const { pen, canvas } = stage;
    const [x, y] = project([...centre, 0]);
    pen.strokeStyle = colours.line;
    pen.lineWidth = Math.max(1, scale * 0.006);
    pen.beginPath(); pen.moveTo(0, y); pen.lineTo(canvas.width, y); pen.stroke();
    for (const radius of [0.4, 0.8]) {
      pen.beginPath();
      pen.ellipse(x, y, radius * scale, radius * scale * Math.sin(ELEVATION), 0, 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.strokeStyle = mix(colours.sunk, colours.soft, 0.22);
    pen.lineWidth = 0.07 * scale;
    for (const [a, b] of data.limbs) {
      if (!joints[a] || !joints[b]) continue;
      line(pen, project([joints[a][0], joints[a][1], 0]), project([joints[b][0], joints[b][1], 0]));
    }
  }

  function line(pen, a, b) {
    pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]); pen.stroke();
  }

  // Far parts first, each with a rim, so that crossing limbs stay readable.
  function drawBody(stage, view, joints, colour, faulty) {
    const { pen } = stage, { project, scale } = view;
    const points = joints.map((joint) => joint && project(joint));
    const shade = (near) => mix(colour, colours.sunk, Math.min(Math.max(0.22 - near * 0.7, 0), 0.5));
    const parts = [];
    const stroke = (a, b, width, near, hue) => parts.push({ near, draw: () => {
      pen.strokeStyle = colours.sunk; pen.lineWidth = (width + 0.024) * scale; line(pen, a, b);
      pen.strokeStyle = hue; pen.lineWidth = width * scale; line(pen, a, b);
    } });
    for (const [a, b, region] of data.limbs) {
      if (!points[a] || !points[b]) continue;
      const near = (points[a][2] + points[b][2]) / 2;
      stroke(points[a], points[b], region === "legs" ? 0.085 : 0.065, near,
        faulty.includes(region) ? mix(colours["fix-fill"], colours.sunk, near < 0 ? 0.25 : 0) : shade(near));
    }
    const trunk = [5, 6, 12, 11].map((id) => points[id]);
    if (trunk.every(Boolean)) {
      const hue = faulty.includes("torso") ? colours["fix-fill"] : shade(0);
      parts.push({ near: trunk.reduce((sum, p) => sum + p[2], 0) / 4, draw: () => {
        pen.beginPath();
        trunk.forEach((p, i) => (i ? pen.lineTo(p[0], p[1]) : pen.moveTo(p[0], p[1])));
        pen.closePath();
        pen.strokeStyle = colours.sunk; pen.lineWidth = 0.094 * scale; pen.stroke();
        pen.strokeStyle = pen.fillStyle = hue; pen.lineWidth = 0.07 * scale; pen.stroke(); pen.fill();
      } });
    }
    const head = middle(joints, [3, 4]) || joints[0], neck = middle(joints, [5, 6]);
    if (head) {
      const at = project(head), hue = faulty.includes("head") ? colours["fix-fill"] : shade(at[2]);
      if (neck) stroke(project(neck), at, 0.06, at[2] - 0.01, hue);
      parts.push({ near: at[2], draw: () => {
        disc(pen, at, 0.122 * scale, colours.sunk); disc(pen, at, 0.11 * scale, hue);
        if (points[0] && points[0][2] > at[2] - 0.02) disc(pen, points[0], 0.024 * scale, colours.sunk);
      } });
    }
    parts.sort((a, b) => a.near - b.near).forEach((part) => part.draw());
    for (const region of faulty) for (const id of data.regions[region]) {
      if (points[id] && id > 4) ring(pen, points[id], 0.05 * scale);
    }
  }

  function disc(pen, at, radius, colour) {
    pen.beginPath(); pen.arc(at[0], at[1], radius, 0, 2 * Math.PI); pen.fillStyle = colour; pen.fill();
  }
  function ring(pen, at, radius) {
    disc(pen, at, radius, colours.sunk);
    pen.strokeStyle = colours.fix; pen.lineWidth = radius * 0.42;
    pen.beginPath(); pen.arc(at[0], at[1], radius * 0.78, 0, 2 * Math.PI); pen.stroke();
  }

  function draw() {
    for (const stage of stages) {
      const track = trackOf(stage.name);
      const { canvas, pen } = stage, dense = window.devicePixelRatio || 1;
      const width = Math.round(canvas.clientWidth * dense), height = Math.round(canvas.clientHeight * dense);
      if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
      pen.clearRect(0, 0, width, height);
      pen.lineCap = pen.lineJoin = "round";
      const view = camera(stage), joints = sample(track, state.time);
      drawFloor(stage, view, joints);
      const [low, high] = data.window || [0, data.duration];
      const outside = stage.name !== "learner" && (state.time < low - 0.02 || state.time > high + 0.02);
      pen.globalAlpha = outside ? 0.25 : 1;
      if (stage.name === "corrected" && ghost && ghost.checked && !outside && !state.whole) {
        pen.globalAlpha = 0.45;
        drawBody(stage, view, sample(data.tracks.learner, state.time), colours.ghost, []);
        pen.globalAlpha = 1;
      }
      const colour = stage.name === "learner" ? colours.you : colours[stage.name];
      drawBody(stage, view, joints, colour, stage.name === "learner" ? data.faulty : []);
      pen.globalAlpha = 1;
    }
    root.dataset.yaw = state.yaw.toFixed(1);
  }

  function show() {
    const [low, high] = range();
    scrubber.min = low; scrubber.max = high; scrubber.value = state.time;
    const text = `${state.time.toFixed(2)} s`;
    clock.textContent = text;
    scrubber.setAttribute("aria-valuetext", text);
    if (playhead) playhead.style.left = `${(100 * state.time) / data.duration}%`;
    draw();
  }

  function tick(now) {
    if (!state.playing) return;
    const [low, high] = range();
    state.time += (Math.min(now - state.last, 100) / 1000) * state.speed;
    state.last = now;
    if (state.time >= high) state.time = low;
    show();
    requestAnimationFrame(tick);
  }

  function setPlaying(on) {
    state.playing = on;
    root.classList.toggle("playing", on);
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    if (on) { state.last = performance.now(); requestAnimationFrame(tick); }
  }

  function setWhole(whole) {
    state.whole = whole;
    const [low, high] = range();
    state.time = Math.min(Math.max(state.time, low), high);
    const choice = root.querySelector(`[name=range][value=${whole ? "clip" : "window"}]`);
    if (choice) choice.checked = true;
    show();
  }

  function turn(degrees) {
    state.yaw = ((((state.yaw + degrees + 180) % 360) + 360) % 360) - 180;
    for (const choice of root.querySelectorAll("[name=view]")) choice.checked = false;
    draw();
  }

  // Jump to a time of the clip; outside the corrected window the whole clip is shown.
  function seek(time) {
    setPlaying(false);
    state.time = Math.min(Math.max(time, 0), data.duration);
    const [low, high] = range();
    if (state.time < low || state.time > high) setWhole(true); else show();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    root.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  }

  play.addEventListener("click", () => setPlaying(!state.playing));
  scrubber.addEventListener("input", () => { setPlaying(false); state.time = Number(scrubber.value); show(); });
  scrubber.addEventListener("keydown", (event) => {
    const frames = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -8, PageUp: 8 }[event.key];
    if (!frames) return;
    event.preventDefault();
    setPlaying(false);
    state.time = Math.min(Math.max(state.time + frames / 30, range()[0]), range()[1]);
    show();
  });
  if (ghost) ghost.addEventListener("change", draw);
  root.addEventListener("change", ({ target }) => {
    if (target.name === "speed") state.speed = Number(target.value);
    if (target.name === "range") setWhole(target.value === "clip");
    if (target.name === "view") { state.yaw = Number(target.value); draw(); }
  });
  for (const { canvas } of stages) {
    let held = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held = event.clientX;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      turn((held - event.clientX) * 0.6);
      held = event.clientX;
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 8, ArrowRight: -8 }[event.key];
      if (step) { event.preventDefault(); turn(step); }
    });
  }
  document.addEventListener("keydown", (event) => {
    const free = event.target === document.body || event.target instanceof HTMLCanvasElement;
    if (event.key === " " && free) { event.preventDefault(); setPlaying(!state.playing); }
  });
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-seek]");
    if (button) seek(Number(button.dataset.seek));
  });
  const repaint = () => { readColours(); draw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  window.addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; repaint(); });
  window.addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; repaint(); });
  new ResizeObserver(draw).observe(root);
  readColours();
  show();
  return { seek };
})();
