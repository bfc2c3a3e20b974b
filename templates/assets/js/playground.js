// The picture to work on, as it is chosen: shown at once, with a box or a mask drawn on it. All of it ends in fields
// that can be filled without this.
(() => {
  "use strict";

  const form = document.querySelector("form.playground");
  if (!form) return;
  const field = (name) => form.elements.namedItem(name);

  // What was typed goes along to another tool, once. Where nothing can be stored it stays behind.
  const KEPT = ["prompt", "negative_prompt", "image", "seed", "denoise", "subject"];
  const STORE = "playground";
  const keep = () => {
    const typed = KEPT.map((name) => [name, field(name)?.value]).filter(([, value]) => value);
    try { sessionStorage.setItem(STORE, JSON.stringify(typed)); } catch { /* It is closed, or full. */ }
  };
  const kept = () => {
    try {
      const typed = sessionStorage.getItem(STORE);
      sessionStorage.removeItem(STORE);
      return typed ? JSON.parse(typed) : [];
    } catch {
      return [];
    }
  };
  document.querySelectorAll(".tabs a").forEach((tab) => tab.addEventListener("click", (event) => {
    // What opens beside this page takes nothing from it.
    if (event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey) keep();
  }));
  for (const [name, value] of kept()) {
    const empty = field(name);
    if (empty && !empty.value) empty.value = value;
  }

  const figure = form.querySelector("[data-picked]");
  if (!figure) return;
  const stage = figure.querySelector(".picked-stage");
  const picture = stage.querySelector("img") ?? new Image();
  picture.alt = stage.getAttribute("aria-label");
  const [file, named] = ["file", "image"].map(field);

  // What is picked is written into the field that names one, and what is typed there is picked where it is offered.
  const paired = (naming, name) => {
    const picks = [...form.querySelectorAll(`input[name=${name}]`)];
    const tick = () => picks.forEach((pick) => { pick.checked = pick.value === naming.value.trim(); });
    // A browser that comes back may remember the pick alone.
    const ticked = picks.find((pick) => pick.checked);
    if (ticked && naming.value === field(`${naming.name}_before`).value) naming.value = ticked.value; else tick();
    naming.addEventListener("change", tick);
    picks.forEach((pick) => pick.addEventListener("change", () => { naming.value = pick.value; }));
    return picks;
  };
  const picks = paired(named, "picked");

  const show = (source) => {
    figure.hidden = !source;
    if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
    if (source) stage.prepend(picture); else picture.remove();
    if (source) picture.src = source;
  };
  const stored = (id) => (/^img_[0-9a-f]{32}$/.test(id.trim()) ? `/outputs/${id.trim()}` : null);
  const chosen = () => (file.files.length > 0 ? URL.createObjectURL(file.files[0]) : stored(named.value));
  const follow = () => show(chosen());
  file.addEventListener("change", follow);
  named.addEventListener("change", follow);
  picks.forEach((pick) => pick.addEventListener("change", () => {
    // What is picked last is what is meant: a file would count for more.
    file.value = "";
    follow();
  }));
  picture.addEventListener("error", () => { figure.hidden = true; });
  const first = chosen();
  if (first) show(first);

  // ── a box, or a mask ──
  const canvas = figure.querySelector("canvas");
  if (!canvas) return;
  const pen = canvas.getContext("2d");
  const frame = figure.querySelector(".picked-box");
  const tools = figure.querySelector("[data-tools]");
  const [region, mask, maskFile, part] = ["region", "mask", "mask_file", "part"].map(field);
  const masks = paired(mask, "picked_mask");

  // Shows where a box lies: its sides in parts of the picture's.
  const outline = (sides) => {
    frame.hidden = !sides;
    if (sides) ["left", "top", "width", "height"].forEach((side, at) => { frame.style[side] = `${100 * sides[at]}%`; });
  };
  // Shows the box of the field.
  const box = () => {
    const sides = region.value.split(/[,; ]+/).filter(Boolean).map(Number);
    const fits = sides.length === 4 && sides.every(Number.isFinite) && sides[2] > 0 && sides[3] > 0;
    const whole = sides.every((side) => side <= 1) ? [1, 1] : [picture.naturalWidth, picture.naturalHeight];
    outline(fits && sides.map((side, at) => side / whole[at % 2]));
  };

  // What the fields hold because it was drawn: "box", "brush" or nothing.
  let drawn = null;
  // What is painted becomes a file, which takes a moment: the last one counts, and what is sent meanwhile waits for it.
  let turn = 0;
  let making = false;
  let held = null;

  // Takes back what was drawn. What was typed or chosen stays, and so does the field that took its place.
  const erase = (kept) => {
    turn += 1;
    making = false;
    held = null;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const taken = { box: region, brush: maskFile }[drawn];
    if (taken && taken !== kept) taken.value = "";
    drawn = null;
    box();
  };
  // Leaves neither a box nor a mask, wherever it came from.
  const clear = () => {
    erase();
    for (const mark of [region, mask, maskFile]) mark.value = "";
    masks.forEach((pick) => { pick.checked = pick.value === ""; });
    box();
  };

  region.addEventListener("input", () => {
    if (drawn === "box") drawn = null;
    box();
  });
  // A mask that is given takes the place of what was drawn.
  mask.addEventListener("change", () => { if (mask.value) erase(); });
  maskFile.addEventListener("change", () => { if (maskFile.files.length > 0 || drawn === "brush") erase(maskFile); });
  masks.forEach((pick) => pick.addEventListener("change", () => {
    maskFile.value = "";
    if (pick.value || drawn === "brush") erase();
  }));
  // What was drawn belongs to the picture that it was drawn on.
  for (const source of [file, named, ...picks]) source.addEventListener("change", () => erase());
  picture.addEventListener("load", () => {
    // A canvas of another size is blank.
    if (drawn === "brush") erase();
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    box();
  });

  // Only a tool that was pressed draws: a finger that scrolls over the picture does not.
  let tool = null;
  const use = (pressed) => {
    tool = pressed;
    stage.classList.toggle("is-drawn", tool !== null);
    tools.querySelectorAll("[data-tool]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.tool === tool)));
  };
  tools.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const pressed = button?.dataset.tool;
    if (pressed) use(pressed === tool ? null : pressed);
    else if (button) clear();
  });

  const spot = (event) => {
    const area = stage.getBoundingClientRect();
    const share = (at, from, length) => Math.min(1, Math.max(0, (at - from) / length));
    return [share(event.clientX, area.left, area.width), share(event.clientY, area.top, area.height)];
  };
  // The box between two corners. Both are rounded, not its sides: so it never reaches beyond the picture.
  const between = (one, other) => {
    const ends = [0, 1].map((at) => [one[at], other[at]].map((end) => Math.round(1000 * end)).sort((a, b) => a - b));
    const [[left, right], [top, bottom]] = ends;
    return [left, top, right - left, bottom - top].map((side) => side / 1000);
  };
  const thickness = () => Number(figure.querySelector("[data-brush]").value) / 100 * Math.min(canvas.width, canvas.height);
  const strokeTo = ([fromX, fromY], [x, y]) => {
    Object.assign(pen, { lineCap: "round", lineWidth: thickness(), strokeStyle: "#fff" });
    pen.beginPath();
    pen.moveTo(fromX * canvas.width, fromY * canvas.height);
    pen.lineTo(x * canvas.width, y * canvas.height);
    pen.stroke();
  };
  // A line without length is none: a tap is a disc.
  const dot = ([x, y]) => {
    pen.fillStyle = "#fff";
    pen.beginPath();
    pen.arc(x * canvas.width, y * canvas.height, thickness() / 2, 0, 2 * Math.PI);
    pen.fill();
  };
  // As a file in the field for one: white where it was painted, black elsewhere.
  const hand = () => {
    const whole = document.createElement("canvas");
    [whole.width, whole.height] = [canvas.width, canvas.height];
    const ink = whole.getContext("2d");
    ink.fillRect(0, 0, whole.width, whole.height);
    ink.drawImage(canvas, 0, 0);
    drawn = "brush";
    making = true;
    turn += 1;
    const own = turn;
    whole.toBlob((bytes) => {
      if (own !== turn) return;
      if (bytes) {
        const given = new DataTransfer();
        given.items.add(new File([bytes], "mask.png", { type: "image/png" }));
        maskFile.files = given.files;
      }
      making = false;
      const waiting = held;
      held = null;
      if (waiting) form.requestSubmit(waiting.submitter);
    }, "image/png");
  };

  // A pointer that has moved less has only trembled (px).
  const MOVED = 4;
  // What is being drawn: by which pointer, with what, from where, whether it has moved, and a box's sides.
  let stroke = null;
  // What is drawn last is what is meant: every other mark goes. Strokes of the brush add up.
  const begin = (kind) => {
    if (kind === "brush" && drawn === "brush") region.value = ""; else clear();
    part.value = "";
    box();
  };
  // Whoever lifts the brush where it was set down has painted a dot; a pointer that the browser took away has not.
  const end = (lifted) => {
    if (!stroke) return;
    const { tool: used, from, moved, sides } = stroke;
    stroke = null;
    if (used === "brush") {
      if (lifted && !moved) {
        begin("brush");
        dot(from);
      }
      if (lifted || moved) hand();
    } else if (sides?.[2] > 0 && sides[3] > 0) {
      begin("box");
      region.value = sides.map((side) => side.toFixed(3)).join(", ");
      drawn = "box";
    }
    box();
  };
  stage.addEventListener("pointerdown", (event) => {
    if (!tool || !event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    end(false);
    stage.setPointerCapture(event.pointerId);
    stroke = { pointer: event.pointerId, tool, at: [event.clientX, event.clientY], from: spot(event), moved: false };
  });
  stage.addEventListener("pointermove", (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    if (!stroke.moved) {
      if (Math.hypot(event.clientX - stroke.at[0], event.clientY - stroke.at[1]) < MOVED) return;
      stroke.moved = true;
      if (stroke.tool === "brush") begin("brush");
    }
    const to = spot(event);
    if (stroke.tool === "box") {
      stroke.sides = between(stroke.from, to);
      outline(stroke.sides);
    } else {
      strokeTo(stroke.from, to);
      stroke.from = to;
    }
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
    stage.addEventListener(kind, (event) => { if (stroke?.pointer === event.pointerId) end(kind === "pointerup"); });
  }
  form.addEventListener("submit", (event) => {
    end(false);
    if (!making) return;
    event.preventDefault();
    held = event;
  });

  tools.hidden = false;
  use(null);
  box();
})();
