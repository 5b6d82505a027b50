"use strict";
(() => {
  const sheet = JSON.parse(document.getElementById("sheet").textContent);
  const name = `poise-humans-${sheet.study}-${sheet.sheet}`;
  const clips = [...document.querySelectorAll(".clip")];
  const sets = [...document.querySelectorAll("fieldset")];
  const keyOf = (set) => `${set.dataset.item}.${set.dataset.question}`;
  const element = (id) => document.getElementById(id);
  let state = { at: 0, answers: {} };

  // Some browsers refuse storage to files or in private windows; answers then live in the page.
  const keep = () => {
    try {
      localStorage.setItem(name, JSON.stringify(state));
    } catch {
      element("no-memory").hidden = false;
    }
  };

  const restore = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(name) || "null");
      if (kept && typeof kept.answers === "object") state = kept;
    } catch {
      element("no-memory").hidden = false;
    }
    for (const set of sets) {
      const value = state.answers[keyOf(set)];
      const radio = [...set.querySelectorAll("input")].find((r) => Number(r.value) === value);
      if (radio) radio.checked = true;
    }
  };

  const count = () => {
    const done = sets.filter((set) => keyOf(set) in state.answers).length;
    element("progress").textContent = `${done} of ${sets.length} answered`;
  };

  const show = (at, focus) => {
    state.at = Math.min(Math.max(Number(at) || 0, 0), clips.length - 1);
    clips.forEach((clip, i) => {
      clip.hidden = i !== state.at;
      if (clip.hidden) clip.querySelectorAll("video").forEach((video) => video.pause());
    });
    element("intro").hidden = state.at > 0;
    element("previous").disabled = state.at === 0;
    element("next").disabled = state.at === clips.length - 1;
    keep();
    if (focus) {
      window.scrollTo(0, 0);
      clips[state.at].querySelector("h2").focus();
    }
  };

  document.addEventListener("change", (event) => {
    const set = event.target.closest("fieldset");
    if (!set) return;
    state.answers[keyOf(set)] = Number(event.target.value);
    keep();
    count();
  });

  document.addEventListener("keydown", (event) => {
    const set = event.target.closest("fieldset");
    if (!set || event.ctrlKey || event.metaKey || event.altKey || !/^[0-4]$/.test(event.key)) return;
    event.preventDefault();
    const radio = set.querySelector(`input[value="${event.key}"]`);
    radio.focus();
    radio.click();
  });

  element("previous").addEventListener("click", () => show(state.at - 1, true));
  element("next").addEventListener("click", () => show(state.at + 1, true));
  element("download").addEventListener("click", () => {
    const ratings = sets.filter((set) => keyOf(set) in state.answers).map((set) => {
      const value = state.answers[keyOf(set)];
      const { item, question } = set.dataset;
      return { item, question, value: value === 0 ? null : value };
    });
    const text = JSON.stringify({ ...sheet, ratings }, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `ratings_${sheet.study}_sheet_${sheet.sheet}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });

  restore();
  count();
  show(state.at, false);
})();
