// The picture to work on, as it is chosen: shown at once, with a box or a mask drawn on it. All of it ends in fields
// that can be filled without this.
(() => {
  "use strict";

  const form = document.querySelector("form.playground");
  if (!form) return;
  const field = (name) => form.elements.namedItem(name);

  // What was typed goes along to another tool, once.
  const KEPT = ["prompt", "negative_prompt", "image", "seed", "denoise", "subject"];
  const STORE = "playground";
  document.querySelectorAll(".tabs a").forEach((tab) => tab.addEventListener("click", () => {
    const typed = KEPT.map((name) => [name, field(name)?.value]).filter(([, value]) => value);
    sessionStorage.setItem(STORE, JSON.stringify(typed));
  }));
  const kept = sessionStorage.getItem(STORE);
  sessionStorage.removeItem(STORE);
  for (const [name, value] of kept ? JSON.parse(kept) : []) {
    const empty = field(name);
    if (empty && !empty.value) empty.value = value;
  }

  const figure = form.querySelector("[data-picked]");
  if (!figure) return;
  const stage = figure.querySelector(".picked-stage");
  const picture = stage.querySelector("img") ?? new Image();
  picture.alt = stage.getAttribute("aria-label");
  const canvas = figure.querySelector("canvas");
  const tools = figure.querySelector("[data-tools]");
  const [file, named, region, maskFile] = ["file", "image", "region", "mask_file"].map(field);
  const picks = [...form.querySelectorAll("input[name=picked]")];

  const clear = () => {
    if (!canvas) return;
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    if (region) region.value = "";
    if (maskFile) maskFile.value = "";
    box();
  };
  const show = (source) => {
    figure.hidden = !source;
    if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
    if (source) stage.prepend(picture); else picture.remove();
    if (source) picture.src = source;
  };
  const stored = (id) => (/^img_[0-9a-f]{32}$/.test(id.trim()) ? `/outputs/${id.trim()}` : null);
  const picked = () => picks.find((pick) => pick.checked)?.value ?? "";
  const shown = () => {
    const chosen = file?.files[0];
    if (chosen) return URL.createObjectURL(chosen);
    return stored(named.value !== field("image_before").value ? named.value : picked() || named.value);
  };
  const follow = () => { clear(); show(shown()); };
  file?.addEventListener("change", follow);
  named.addEventListener("change", follow);
  picks.forEach((pick) => pick.addEventListener("change", () => {
    // What is picked last is what is meant: a file would count for more.
    file.value = "";
    named.value = field("image_before").value;
    follow();
  }));
  picture.addEventListener("error", () => { figure.hidden = true; });
  picture.addEventListener("load", () => {
    if (!canvas) return;
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    box();
  });

  // ── a box, or a mask ──
  if (!canvas) { if (named.value || picked()) show(shown()); return; }
  const frame = figure.querySelector(".picked-box");
  // Where the box of the field lies, in parts of the sides.
  function box() {
    const sides = region.value.split(/[,; ]+/).filter(Boolean).map(Number);
    const fits = sides.length === 4 && sides.every(Number.isFinite) && sides[2] > 0 && sides[3] > 0;
    frame.hidden = !fits;
    if (!fits) return;
    const whole = sides.every((side) => side <= 1) ? [1, 1] : [picture.naturalWidth, picture.naturalHeight];
    ["left", "top", "width", "height"].forEach((side, at) => { frame.style[side] = `${100 * sides[at] / whole[at % 2]}%`; });
  }
  region.addEventListener("input", box);

  let tool = "box";
  const use = (chosen) => {
    tool = chosen;
    tools.querySelectorAll("[data-tool]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.tool === tool)));
  };
  tools.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.tool) use(button.dataset.tool);
    else if (button) clear();
  });

  const spot = (event) => {
    const area = stage.getBoundingClientRect();
    const part = (at, from, length) => Math.min(1, Math.max(0, (at - from) / length));
    return [part(event.clientX, area.left, area.width), part(event.clientY, area.top, area.height)];
  };
  const boxTo = ([fromX, fromY], [x, y]) => {
    const sides = [Math.min(fromX, x), Math.min(fromY, y), Math.abs(x - fromX), Math.abs(y - fromY)];
    region.value = sides.map((side) => side.toFixed(3)).join(", ");
    box();
  };
  const strokeTo = ([fromX, fromY], [x, y]) => {
    const pen = canvas.getContext("2d");
    const width = Number(figure.querySelector("[data-brush]").value) / 100;
    Object.assign(pen, { lineCap: "round", lineWidth: width * Math.min(canvas.width, canvas.height), strokeStyle: "#fff" });
    pen.beginPath();
    pen.moveTo(fromX * canvas.width, fromY * canvas.height);
    pen.lineTo(x * canvas.width, y * canvas.height);
    pen.stroke();
  };
  // As a file in the field for one: white where it was painted, black elsewhere.
  const hand = () => {
    const mask = document.createElement("canvas");
    [mask.width, mask.height] = [canvas.width, canvas.height];
    const pen = mask.getContext("2d");
    pen.fillRect(0, 0, mask.width, mask.height);
    pen.drawImage(canvas, 0, 0);
    mask.toBlob((bytes) => {
      if (!bytes) return;
      const given = new DataTransfer();
      given.items.add(new File([bytes], "mask.png", { type: "image/png" }));
      maskFile.files = given.files;
    }, "image/png");
  };
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    from = spot(event);
    // One of the two: the last counts.
    if (tool === "brush") { region.value = ""; box(); strokeTo(from, from); } else { clear(); }
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = spot(event);
    if (tool === "box") boxTo(from, to); else { strokeTo(from, to); from = to; }
  });
  stage.addEventListener("pointerup", () => {
    if (from && tool === "brush") hand();
    from = null;
  });
  tools.hidden = false;
  stage.classList.add("is-drawn");
  use("box");
  if (named.value || picked()) show(shown());
})();
