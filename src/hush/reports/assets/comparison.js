"use strict";
(() => {
  const pictures = JSON.parse(document.getElementById("data").textContent).pictures;
  const get = (id) => document.getElementById(id);
  const pane = get("pane"), cut = get("cut"), left = get("left"), right = get("right");
  const choices = { left: get("left-choice"), right: get("right-choice") };
  let zoom = 0, part = 0.5;

  for (const select of Object.values(choices))
    pictures.forEach((picture, index) => select.add(new Option(picture.label, String(index))));

  const scale = () => {
    const width = left.naturalWidth || 1;
    return zoom || Math.min(4, pane.clientWidth / width);
  };
  const draw = () => {
    const wide = left.naturalWidth * scale(), high = left.naturalHeight * scale();
    for (const image of [left, right]) {
      image.style.width = `${wide}px`;
      image.style.height = `${high}px`;
    }
    right.style.clipPath = `inset(0 0 0 ${100 * part}%)`;
    cut.style.left = `${part * wide - 1}px`;
    cut.setAttribute("aria-valuenow", String(Math.round(100 * part)));
  };
  const show = (side, index) => {
    if (!(index >= 0 && index < pictures.length)) return;
    choices[side].value = String(index);
    get(side).src = pictures[index].data;
    get(side).alt = pictures[index].label;
  };
  const move = (event) => {
    const box = left.getBoundingClientRect();
    part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    draw();
  };

  choices.left.addEventListener("change", () => show("left", Number(choices.left.value)));
  choices.right.addEventListener("change", () => show("right", Number(choices.right.value)));
  left.addEventListener("load", draw);
  window.addEventListener("resize", draw);
  pane.addEventListener("pointerdown", (event) => {
    if (event.target === pane) return;
    pane.setPointerCapture(event.pointerId);
    move(event);
  });
  pane.addEventListener("pointermove", (event) => { if (pane.hasPointerCapture(event.pointerId)) move(event); });
  cut.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    part = Math.min(1, Math.max(0, part + step));
    draw();
  });
  document.addEventListener("keydown", (event) => {
    const digit = /^Digit([1-9])$/.exec(event.code);
    if (!digit || event.ctrlKey || event.metaKey || event.altKey) return;
    show(event.shiftKey ? "right" : "left", Number(digit[1]) - 1);
  });
  get("zooms").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    zoom = Number(button.dataset.zoom);
    for (const other of get("zooms").children) other.setAttribute("aria-pressed", String(other === button));
    draw();
  });

  const body = get("figures").tBodies[0];
  body.addEventListener("click", (event) => {
    const method = event.target.closest("tr").dataset.method;
    show("right", pictures.findIndex((picture) => picture.label === method));
  });
  [...get("figures").tHead.rows[0].cells].forEach((head, column) => head.addEventListener("click", () => {
    if (!head.hasAttribute("aria-sort")) return;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => (row.cells[column].dataset.value === "" ? NaN : Number(row.cells[column].dataset.value));
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return up ? x - y : y - x;
    });
    body.append(...rows);
  }));

  show("left", 0);
  const firstMethod = pictures.findIndex((picture) => picture.label !== "noisy" && picture.label !== "reference");
  show("right", Math.max(0, firstMethod));
})();
