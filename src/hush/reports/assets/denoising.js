"use strict";
// Everything shown was computed beforehand; this file places, draws and lets one look around.
(() => {
  const errors = [];
  addEventListener("error", (event) => errors.push(String(event.message)));
  document.addEventListener("securitypolicyviolation", (event) => errors.push("CSP " + event.violatedDirective));

  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  data.pictures[0] = Object.fromEntries(["before", "after", "noise"].map((side) => [side, $(side).src]));
  const SVG = document.querySelector("svg").namespaceURI;
  const stage = $("stage"), scroll = $("scroll"), sheet = $("sheet"), divider = $("divider");
  const unique = (items) => [...new Set(items)];
  const state = { channel: data.channels[0].channel, plane: "", view: 0, mode: "compare", zoom: 0, split: 0.5 };

  function say(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const text = size >= 1000 && size < 1e7 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
    return text.replace("-", "−");
  }
  const correlation = (value) => (value === null ? "–" : (Math.round(value * 100) / 100 + 0).toFixed(2).replace("-", "−"));

  // Which picture ---------------------------------------------------------------------------------

  const ofChannel = () => data.sets.filter((set) => set.channel === state.channel);
  const planes = () => unique(ofChannel().map((set) => set.plane));
  const views = () => ofChannel().filter((set) => set.plane === state.plane);
  const current = () => views()[state.view];
  const channel = () => data.channels.find((item) => item.channel === state.channel);

  function options(select, texts, chosen) {
    select.replaceChildren(...texts.map((text, i) => new Option(text, i, false, i === chosen)));
    select.parentElement.hidden = texts.length < 2;
  }

  function show() {
    const set = current(), pictures = data.pictures[data.sets.indexOf(set)];
    for (const side of ["before", "after", "noise"]) $(side).src = pictures[side];
    stage.classList.toggle("noise", state.mode === "noise");
    $("tag-noise").hidden = state.mode !== "noise";
    for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === state.mode);
    for (const button of document.querySelectorAll("[data-zoom]")) button.setAttribute("aria-pressed", Number(button.dataset.zoom) === state.zoom);
    $("residual").src = pictures.noise;
    $("residual").classList.toggle("smaller", set.width > 380 || set.height > 380);
    $("caption").textContent = caption(set);
    const named = [channel().name, set.plane, set.view].filter(Boolean).join(", ");
    $("residual-caption").textContent = `${named[0].toUpperCase()}${named.slice(1)}. Before minus after: middle grey is zero, black and white are ∓${say(set.noise_range[1])}.`;
    boxes(set);
    layout();
  }

  function caption(set) {
    const size = `${set.width} × ${set.height} pixels`;
    const corner = set.x || set.y ? `, from column ${set.x}, row ${set.y}` : "";
    const where = set.step > 1
      ? `Each pixel is the mean of ${set.step} × ${set.step} image pixels, which alone lowers the noise: look at a crop to judge it.`
      : `${size} at full resolution${corner}.`;
    const [low, high] = channel().range;
    return state.mode === "noise"
      ? `${where} Grey is zero; black and white are ∓${say(set.noise_range[1])}.`
      : `${where} Both sides show ${say(low)} (black) to ${say(high)} (white).`;
  }

  function boxes(set) {
    const crops = set.step > 1 ? views().filter((item) => item.step === 1) : [];
    $("boxes").replaceChildren(...crops.map((crop, i) => {
      const box = document.createElement("i"), label = document.createElement("b");
      const share = (value, whole) => `${(100 * value) / (whole * set.step)}%`;
      box.style.left = share(crop.x, set.width);
      box.style.top = share(crop.y, set.height);
      box.style.width = share(crop.width, set.width);
      box.style.height = share(crop.height, set.height);
      label.textContent = i + 1;
      box.append(label);
      return box;
    }));
  }

  // Where it stands -------------------------------------------------------------------------------

  function zoomOf(set) {
    if (state.zoom) return state.zoom;
    const fit = Math.min(stage.clientWidth / set.width, stage.clientHeight / set.height);
    return fit >= 1 ? Math.floor(fit) : fit; // whole pixels stay whole
  }

  function layout() {
    const set = current(), zoom = zoomOf(set);
    const middle = [scroll.scrollLeft + scroll.clientWidth / 2, scroll.scrollTop + scroll.clientHeight / 2];
    const was = sheet.offsetWidth || 1;
    const width = Math.max(1, set.width * zoom), height = Math.max(1, set.height * zoom);
    sheet.style.width = width + "px";
    sheet.style.height = height + "px";
    sheet.classList.toggle("smaller", zoom < 1);
    scroll.classList.toggle("pans", width > stage.clientWidth || height > stage.clientHeight);
    scroll.scrollLeft = (middle[0] * width) / was - scroll.clientWidth / 2;
    scroll.scrollTop = (middle[1] * width) / was - scroll.clientHeight / 2;
    place();
  }

  function edges() {
    const outer = scroll.getBoundingClientRect(), inner = sheet.getBoundingClientRect();
    const left = inner.left - outer.left, top = inner.top - outer.top;
    return {
      left: Math.max(0, left), right: Math.min(scroll.clientWidth, left + inner.width),
      top: Math.max(0, top), bottom: Math.min(scroll.clientHeight, top + inner.height), start: left, width: inner.width,
    };
  }

  function place() {
    const seen = edges(), x = seen.left + state.split * (seen.right - seen.left);
    $("before").style.clipPath = `inset(0 ${Math.max(0, seen.width - (x - seen.start))}px 0 0)`;
    divider.style.left = x + "px";
    divider.style.top = seen.top + "px";
    divider.style.height = seen.bottom - seen.top + "px";
    const percent = Math.round(100 * state.split);
    divider.setAttribute("aria-valuenow", percent);
    divider.setAttribute("aria-valuetext", `before on the left ${percent} percent, after on the rest`);
    const inset = seen.right - seen.left > 180 ? 10 : 2;
    for (const id of ["tag-before", "tag-noise"]) $(id).style.left = seen.left + inset + "px";
    $("tag-after").style.right = stage.clientWidth - seen.right + inset + "px";
    for (const id of ["tag-before", "tag-after", "tag-noise"]) $(id).style.top = seen.top + inset + "px";
    $("tag-before").style.opacity = x - seen.left < 40 ? 0 : 1;
    $("tag-after").style.opacity = seen.right - x < 40 ? 0 : 1;
    const share = seen.width / current().width;
    const bar = current().bars.find((item) => item.pixels * share <= 0.4 * (seen.right - seen.left));
    $("bar").hidden = !bar;
    if (bar) {
      $("bar").firstElementChild.style.width = bar.pixels * share + "px";
      $("bar").lastElementChild.textContent = bar.text;
      $("bar").style.right = stage.clientWidth - seen.right + 14 + "px";
      $("bar").style.bottom = stage.clientHeight - seen.bottom + 14 + "px";
    }
  }

  function split(value) {
    state.split = Math.min(1, Math.max(0, value));
    place();
  }

  function drag(event) {
    const seen = edges();
    split((event.clientX - scroll.getBoundingClientRect().left - seen.left) / (seen.right - seen.left));
  }

  const hold = (element, begin, move) => element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !begin(event)) return;
    element.setPointerCapture(event.pointerId);
    const ends = new AbortController(), { signal } = ends;
    element.addEventListener("pointermove", move, { signal });
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => ends.abort(), { signal });
  });
  hold(divider, () => true, drag);
  hold(scroll, (event) => {
    const pans = scroll.classList.contains("pans");
    if (!pans && state.mode === "compare") drag(event);
    return !pans || event.pointerType === "mouse"; // fingers scroll by themselves
  }, (event) => {
    if (scroll.classList.contains("pans")) scroll.scrollBy(-event.movementX, -event.movementY);
    else if (state.mode === "compare") drag(event);
  });
  divider.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.1 : 0.02;
    const moves = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    split(state.split + moves[event.key]);
  });
  scroll.addEventListener("scroll", place, { passive: true });

  // Charts ----------------------------------------------------------------------------------------

  function draw(tag, parent, attributes, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  function canvas(id, height, label) {
    const width = Math.max(220, $(id).clientWidth);
    $(id).replaceChildren();
    return [draw("svg", $(id), { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label }), width];
  }

  function ticks(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough);
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-9) && found.length < 20; i++) found.push(i * step);
    return found;
  }
  const line = (xs, ys) => xs.map((x, i) => `${i ? "L" : "M"}${x.toFixed(1)} ${ys[i].toFixed(1)}`).join("");

  function histogram(noise) {
    const [svg, width] = canvas("histogram", 268, "Histogram of the residual with a Gaussian of the same standard deviation");
    const { edges: bins, counts, gaussian } = noise, floor = 236;
    if (!counts.length) { draw("text", svg, { x: 0, y: 20 }, "nothing to show"); return; }
    const top = Math.max(...counts, ...gaussian), low = bins[0], high = bins[bins.length - 1];
    const x = (value) => ((value - low) / (high - low)) * width, y = (value) => floor - (value / top) * (floor - 8);
    const outline = counts.map((n, i) => `M${x(bins[i]).toFixed(2)} ${floor}V${y(n).toFixed(1)}H${x(bins[i + 1]).toFixed(2)}V${floor}Z`);
    draw("path", svg, { d: outline.join(""), class: "bars" });
    const centres = counts.map((_, i) => x((bins[i] + bins[i + 1]) / 2));
    draw("path", svg, { d: line(centres, gaussian.map(y)), class: "curve" });
    draw("path", svg, { d: `M0 ${floor + 0.5}H${width}`, class: "axis" });
    for (const tick of ticks(low, high, 6)) {
      if (x(tick) > 12 && x(tick) < width - 12) draw("text", svg, { x: x(tick), y: floor + 18, "text-anchor": "middle" }, say(tick));
    }
    const share = noise.of > noise.values ? `${noise.values.toLocaleString("en")} of ${noise.of.toLocaleString("en")} values` : `${noise.values.toLocaleString("en")} values`;
    const out = noise.outside ? `, ${noise.outside.toLocaleString("en")} of them outside the plot` : "";
    const key = document.createElement("i");
    key.className = "key-line";
    $("histogram-caption").replaceChildren(key, `Gaussian of the same mean (${say(noise.mean)}) and standard deviation (${say(noise.std)}). In image units; ${share}${out}.`);
  }

  function heat(noise) {
    const [svg, width] = canvas("heat", 268, "Autocorrelation of the residual at distances of up to 8 pixels");
    const grid = noise.autocorrelation, n = grid.length, far = (n - 1) / 2, side = Math.min((width - 40) / n, 230 / n);
    const most = Math.max(0.1, noise.strongest ? Math.abs(noise.strongest.value) : 0);
    const left = (width - n * side) / 2 + 8, x = (i) => left + i * side, y = (i) => 4 + i * side;
    grid.forEach((row, i) => row.forEach((value, j) => {
      if (value === null) return;
      const look = { x: x(j), y: y(i), width: side + 0.3, height: side + 0.3, class: `cell ${value < 0 ? "negative" : "positive"}` };
      const cell = draw("rect", svg, { ...look, "fill-opacity": Math.min(1, Math.abs(value) / most).toFixed(3) });
      draw("title", cell, {}, `${i - far} rows, ${j - far} columns: ${correlation(value)}`);
    }));
    draw("rect", svg, { x: x(0), y: y(0), width: n * side, height: n * side, class: "cells" });
    for (const lag of [-far, -far / 2, 0, far / 2, far]) {
      draw("text", svg, { x: x(lag + far + 0.5), y: y(n) + 17, "text-anchor": "middle" }, say(lag));
      draw("text", svg, { x: left - 7, y: y(lag + far + 0.5) + 4, "text-anchor": "end" }, say(lag));
    }
    const range = noise.lag1.rows === null && noise.lag1.columns === null ? "" : ` Full colour: ±${say(most)}; orange is positive, blue negative; the middle is 1.`;
    $("heat-caption").textContent = `Correlation of the residual by distance in rows and columns.${range}`;
    const lags = [1, 2, 3, 4], table = document.createElement("table");
    const row = (head, values, parent) => {
      const tr = parent.insertRow();
      for (const [i, text] of [head, ...values].entries()) {
        const cell = document.createElement(i && parent.tagName === "TBODY" ? "td" : "th");
        cell.textContent = text;
        tr.append(cell);
      }
    };
    row("Pixels apart", lags, table.createTHead());
    row("along rows", lags.map((lag) => correlation(grid[far][far + lag])), table.createTBody());
    row("along columns", lags.map((lag) => correlation(grid[far + lag][far])), table.tBodies[0]);
    $("lags").replaceChildren(table);
  }

  function training() {
    const curves = data.loss.map((curve) => curve.filter((point) => point[1] !== null)).filter((curve) => curve.length > 1);
    $("training").hidden = !curves.length;
    if (!curves.length) return;
    const [svg, width] = canvas("loss", 250, "Training loss over steps"), left = 46, floor = 218;
    const points = curves.flat(), right = Math.max(...points.map((p) => p[0])), first = Math.min(...points.map((p) => p[0]));
    const values = points.map((p) => p[1]), least = Math.min(...values), greatest = Math.max(...values);
    const low = least - (greatest - least || 1) * 0.06, high = greatest + (greatest - least || 1) * 0.06;
    const x = (step) => left + ((step - first) / (right - first || 1)) * (width - left - 12);
    const y = (value) => floor - ((value - low) / (high - low)) * (floor - 8);
    for (const tick of ticks(low, high, 4)) {
      draw("path", svg, { d: `M${left} ${y(tick)}H${width}`, class: "axis" });
      draw("text", svg, { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, say(tick));
    }
    for (const tick of ticks(first, right, 5)) draw("text", svg, { x: x(tick), y: floor + 20, "text-anchor": "middle" }, say(tick));
    curves.forEach((curve, i) => {
      draw("path", svg, { d: line(curve.map((p) => x(p[0])), curve.map((p) => y(p[1]))), class: `curve n${i % 4}` });
    });
    const each = curves.length > 1 ? ` One curve for each of ${curves.length} networks.` : "";
    $("loss-caption").textContent = `Loss over training steps.${each}`;
  }

  function charts() {
    const { noise } = channel();
    $("sentence").textContent = noise.sentence;
    $("key-std").textContent = say(noise.std);
    $("key-lag").textContent = `${correlation(noise.lag1.rows)} · ${correlation(noise.lag1.columns)}`;
    histogram(noise);
    heat(noise);
    training();
  }

  // What one chooses ------------------------------------------------------------------------------

  function choose() {
    const labels = planes().map((plane) => plane || "only one");
    options($("plane"), labels, planes().indexOf(state.plane));
    options($("view"), views().map((set) => set.view), state.view);
    show();
  }

  $("modes").addEventListener("click", (event) => { if (event.target.dataset.mode) { state.mode = event.target.dataset.mode; show(); } });
  $("zooms").addEventListener("click", (event) => { if (event.target.dataset.zoom) { state.zoom = Number(event.target.dataset.zoom); show(); } });
  $("view").addEventListener("change", (event) => { state.view = Number(event.target.value); choose(); });
  $("plane").addEventListener("change", (event) => { state.plane = planes()[event.target.value]; choose(); });
  $("channel").addEventListener("change", (event) => {
    state.channel = data.channels[event.target.value].channel;
    choose();
    charts();
  });
  $("copy").addEventListener("click", async () => {
    const range = document.createRange();
    range.selectNodeContents($("command"));
    getSelection().removeAllRanges();
    getSelection().addRange(range); // selected in any case: where copying is forbidden, the keyboard still can
    const done = await navigator.clipboard.writeText($("command").textContent).then(() => true, () => document.execCommand("copy"));
    $("copy").textContent = done ? "Copied" : "Selected";
    setTimeout(() => { $("copy").textContent = "Copy"; }, 1600);
  });

  // The page tries itself out (page.html#selftest): for the tests, and for a reader who doubts ------

  async function selftest() {
    const report = { sets: data.sets.length, sizes: true, clips: [], values: [], shown: [] };
    for (const [i, set] of data.sets.entries()) {
      for (const side of Object.values(data.pictures[i])) {
        const image = new Image();
        await new Promise((resolve) => { image.onload = image.onerror = resolve; image.src = side; });
        report.sizes &&= image.naturalWidth === set.width && image.naturalHeight === set.height;
      }
    }
    const look = () => { report.clips.push($("before").style.clipPath); report.values.push(divider.getAttribute("aria-valuenow")); };
    const press = (key) => { divider.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })); look(); };
    look();
    ["ArrowRight", "Home", "End"].forEach(press);
    const seen = edges(), at = { clientX: scroll.getBoundingClientRect().left + seen.left + (seen.right - seen.left) / 4, bubbles: true };
    drag(new PointerEvent("pointermove", at));
    look();
    for (const select of ["channel", "plane", "view"].map($)) {
      for (let i = 0; i < select.options.length; i++) {
        select.value = String(i);
        select.dispatchEvent(new Event("change"));
        report.shown.push(data.sets.indexOf(current()));
      }
    }
    for (const button of document.querySelectorAll("[data-zoom], [data-mode]")) button.click();
    report.mode = getComputedStyle($("noise")).visibility;
    report.zoom = sheet.offsetWidth / current().width;
    report.bars = $("histogram").querySelectorAll("path").length;
    report.cells = $("heat").querySelectorAll(".cell").length;
    report.errors = errors;
    document.documentElement.dataset.selftest = JSON.stringify(report);
  }

  options($("channel"), data.channels.map((item) => item.name || "only one"), 0);
  state.plane = planes()[Math.floor(planes().length / 2)];
  state.view = views().length > 1 ? 1 : 0; // a crop: in the overview of a large image the noise is averaged away
  choose();
  charts();
  let asked = 0;
  addEventListener("resize", () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(() => { layout(); charts(); }); });
  document.documentElement.dataset.ready = "1";
  if (location.hash === "#selftest") selftest().catch((error) => { document.documentElement.dataset.selftest = JSON.stringify({ errors: [String(error)] }); });
})();
