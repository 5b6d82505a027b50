// Learner and expert on one clock; accept, reject, or shift the expert's window; export as JSON.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("poise-data").textContent);
  const byId = (id) => document.getElementById(id);
  const root = byId("player"), scrubber = byId("scrubber"), shift = byId("shift");
  const { sample, extent, readColours, colours, camera, drawFloor, drawBody, clear, turnable } = skeletons(data);
  const stages = [...root.querySelectorAll("canvas")].map((canvas) => ({
    canvas, pen: canvas.getContext("2d"), name: canvas.dataset.track,
  }));
  const MISSING = -32768;
  const KEPT = `poise-review-${data.dataset_sha256}`;
  const state = { at: 0, time: 0, playing: false, yaw: -55, last: 0, tracks: null, box: null };

  // What was decided, by pair: {verdict: "accepted" | "rejected" | null, position: frames}.
  const nameOf = (pair) => `${pair.learner}\n${pair.region}\n${pair.rank}`;
  const decided = new Map(data.pairs.map((pair) => [nameOf(pair), {
    verdict: { accepted: "accepted", fixed: "accepted", rejected: "rejected" }[pair.status] || null,
    position: pair.chosen,
  }]));
  function recall() {
    try {
      for (const [name, kept] of Object.entries(JSON.parse(localStorage.getItem(KEPT)) || {})) {
        if (decided.has(name)) decided.set(name, kept);
      }
    } catch { /* a browser that keeps nothing: the export still works */ }
  }
  function keep() {
    try { localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(decided))); } catch { /* as above */ }
  }

  const pair = () => data.pairs[state.at];
  const choice = () => decided.get(nameOf(pair()));

  // Base64 of little-endian int16 millimetres -> the frames that skeletons.js samples.
  function unpack({ frames, step, mm }) {
    const bytes = Uint8Array.from(atob(mm), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const value = (i) => { const v = view.getInt16(2 * i, true); return v === MISSING ? null : v; };
    return { start: 0, step, mm: Array.from({ length: frames }, (_, f) =>
      Array.from({ length: 51 }, (_, i) => value(51 * f + i))) };
  }

  function draw() {
    const shown = { learner: state.time, expert: state.time + choice().position * data.frame };
    for (const stage of stages) {
      clear(stage);
      const view = camera(stage.canvas, state.box, state.yaw);
      const joints = sample(state.tracks[stage.name], shown[stage.name]);
      drawFloor(stage, view, joints);
      const mine = stage.name === "learner";
      drawBody(stage, view, joints, mine ? colours.you : colours.expert, mine ? [pair().region] : []);
    }
    root.dataset.yaw = state.yaw.toFixed(1);
  }

  function show() {
    scrubber.value = state.time;
    byId("clock").textContent = `${state.time.toFixed(2)} s`;
    draw();
  }

  function showPlace() {
    const { errors, expert_first: first, chosen } = pair(), { position } = choice();
    shift.value = position;
    const moved = position - chosen, error = errors[position];
    const start = first + position * data.frame;
    byId("place").textContent = `${start.toFixed(2)}–${(start + data.window).toFixed(2)} s · ` +
      (error === null ? "too few joints" : `${error.toFixed(1)} mm`) +
      (moved ? ` · ${moved > 0 ? "+" : "−"}${Math.abs(moved)} frames` : "");
    byId("accept").disabled = error === null;
    byId("earlier").disabled = position <= 0;
    byId("later").disabled = position >= errors.length - 1;
  }

  function showVerdict() {
    const { verdict, position } = choice(), fixed = position !== pair().chosen;
    byId("accept").textContent = fixed ? "Accept as shifted" : "Accept";
    byId("accept").setAttribute("aria-pressed", String(verdict === "accepted"));
    byId("reject").setAttribute("aria-pressed", String(verdict === "rejected"));
    byId("verdict").textContent = verdict === "accepted" && fixed ? "fixed" : verdict || "undecided";
    const count = (what) => [...decided.values()].filter((one) => one.verdict === what).length;
    const left = count(null);
    byId("progress").textContent =
      `${data.pairs.length} pairs: ${count("accepted")} accepted, ${count("rejected")} rejected, ${left} to go`;
    [...byId("all").querySelectorAll("button")].forEach((button, i) => {
      const one = decided.get(nameOf(data.pairs[i])).verdict;
      button.className = one || "";
      button.setAttribute("aria-current", String(i === state.at));
      button.setAttribute("aria-label", `Pair ${i + 1}, ${one || "undecided"}`);
    });
  }

  function open(at) {
    state.at = Math.min(Math.max(at, 0), data.pairs.length - 1);
    const one = pair();
    state.tracks = { learner: unpack(one.tracks.learner), expert: unpack(one.tracks.expert) };
    state.box = extent(Object.values(state.tracks));
    state.time = Math.min(Math.max(one.learner_time - one.learner_start, 0), data.window);
    byId("pair-title").textContent = `Pair ${state.at + 1} of ${data.pairs.length}`;
    byId("region").textContent = `${one.region}: needs improvement`;
    byId("activity").textContent = one.activity.replaceAll("_", " ");
    byId("summary").textContent = one.summary || one.spoken || "No comment in the data.";
    byId("spoken").textContent = one.spoken || "";
    byId("more").hidden = !one.spoken || !one.summary;
    byId("learner-name").textContent = `Learner ${one.learner}`;
    byId("expert-name").textContent = `Expert ${one.expert}`;
    byId("back").disabled = state.at === 0;
    byId("next").disabled = state.at === data.pairs.length - 1;
    scrubber.max = data.window;
    shift.max = one.errors.length - 1;
    showPlace();
    showVerdict();
    show();
  }

  function decide(verdict) {
    if (verdict === "accepted" && byId("accept").disabled) return;
    choice().verdict = verdict;
    keep();
    showVerdict();
  }

  // Shifting what was judged takes the judgement back.
  function moveTo(position) {
    const one = choice(), most = pair().errors.length - 1;
    position = Math.min(Math.max(position, 0), most);
    if (position === one.position) return;
    Object.assign(one, { position, verdict: null });
    keep();
    showPlace();
    showVerdict();
    draw();
  }

  function exported() {
    const decisions = [];
    for (const one of data.pairs) {
      const { verdict, position } = decided.get(nameOf(one));
      if (verdict === null) continue;
      const decision = { learner: one.learner, region: one.region, rank: one.rank };
      if (verdict === "rejected") decision.decision = "reject";
      else if (position === one.chosen) decision.decision = "accept";
      else Object.assign(decision, { decision: "fix", expert_start: one.expert_first + position * data.frame });
      decisions.push(decision);
    }
    return { schema_version: 1, dataset_sha256: data.dataset_sha256, decisions };
  }

  function save() {
    const text = JSON.stringify(exported(), null, 1) + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "decisions.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function tick(now) {
    if (!state.playing) return;
    state.time += Math.min(now - state.last, 100) / 1000;
    state.last = now;
    if (state.time >= data.window) state.time = 0;
    show();
    requestAnimationFrame(tick);
  }
  function setPlaying(on) {
    state.playing = on;
    root.classList.toggle("playing", on);
    byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
    if (on) { state.last = performance.now(); requestAnimationFrame(tick); }
  }
  function turn(degrees) {
    state.yaw = ((((state.yaw + degrees + 180) % 360) + 360) % 360) - 180;
    draw();
  }

  byId("all").append(...data.pairs.map((_, i) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = i + 1;
    button.addEventListener("click", () => open(i));
    item.append(button);
    return item;
  }));
  const actions = {
    play: () => setPlaying(!state.playing),
    accept: () => decide("accepted"),
    reject: () => decide("rejected"),
    undo: () => decide(null),
    back: () => open(state.at - 1),
    next: () => open(state.at + 1),
    earlier: () => moveTo(choice().position - 1),
    later: () => moveTo(choice().position + 1),
    export: save,
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  const keys = { a: "accept", r: "reject", n: "next", b: "back", ",": "earlier", ".": "later", " ": "play" };
  document.addEventListener("keydown", (event) => {
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && event.target instanceof HTMLButtonElement) return;
    event.preventDefault();
    actions[action]();
  });
  scrubber.addEventListener("input", () => { setPlaying(false); state.time = Number(scrubber.value); show(); });
  shift.addEventListener("input", () => moveTo(Number(shift.value)));
  for (const { canvas } of stages) turnable(canvas, turn);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
  new ResizeObserver(draw).observe(root);
  recall();
  readColours();
  open(0);
})();
