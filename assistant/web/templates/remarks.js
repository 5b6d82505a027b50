// The body figure and the row of buttons choose which region's remarks are shown.
(() => {
  const section = document.getElementById("remarks");
  if (!section) return;
  const figure = section.querySelector(".figure");
  const groups = [...section.querySelectorAll(".group")];
  const buttons = [...section.querySelectorAll(".region, .chips button")];
  let chosen = "";

  function choose(region) {
    chosen = region;
    let count = 0;
    for (const group of groups) {
      group.hidden = region !== "" && group.dataset.region !== region;
      if (!group.hidden) count += group.querySelectorAll(".remark").length;
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.region === region));
    figure.classList.toggle("filtered", region !== "");
    document.getElementById("no-remark").hidden = count > 0;
    document.getElementById("shown").textContent =
      `${count} ${count === 1 ? "remark" : "remarks"}${region ? ` about the ${region}` : ""} shown`;
  }

  for (const button of buttons) {
    const toggle = () => choose(button.dataset.region === chosen ? "" : button.dataset.region);
    button.addEventListener("click", toggle);
    if (button.tagName !== "BUTTON") button.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
    });
  }
  window.addEventListener("beforeprint", () => choose(""));
})();
