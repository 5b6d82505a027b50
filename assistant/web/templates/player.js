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
  const { sample, extent, readColours, colours, camera, drawFloor, drawBody, clear, turnable } = skeletons(data);
  const state = { time: data.first, playing: false, speed: 1, yaw: -55, whole: !data.window, last: 0 };

  const trackOf = (name) => (state.whole ? (name === "learner" ? data.tracks.clip : data.tracks[name])
    : data.tracks[name] || data.tracks.clip);
  const range = () => (state.whole ? [0, data.duration] : data.window);

  const extents = {};
  const reach = () => (extents[state.whole] ??= extent(stages.map((stage) => trackOf(stage.name))));

  function draw() {
    for (const stage of stages) {
      clear(stage);
      const { canvas, pen } = stage, view = camera(canvas, reach(), state.yaw);
      const joints = sample(trackOf(stage.name), state.time);
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
  for (const { canvas } of stages) turnable(canvas, turn);
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
