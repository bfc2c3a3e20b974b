// Small comforts on top of pages that work without any script.
(() => {
  "use strict";

  // Buttons that only script can serve stay hidden until it is here.
  const reveal = (root) => root.querySelectorAll("[data-copy][hidden], [data-reveal][hidden]").forEach((button) => { button.hidden = false; });

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const label = button.querySelector("span");
    if (!source || !label) return;
    const told = label.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent);
      label.textContent = document.body.dataset.copied;
    } catch {
      // Without https the clipboard is closed: select the text, so that one key copies it.
      window.getSelection().selectAllChildren(source);
      label.textContent = document.body.dataset.select;
    }
    setTimeout(() => { label.textContent = told; }, 2000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });

  // What is being typed into the field of a secret can be looked at; what is stored never comes out.
  const unveil = (button, shown) => {
    const field = document.getElementById(button.dataset.reveal);
    if (!field) return;
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-reveal]");
    if (button) unveil(button, button.getAttribute("aria-pressed") !== "true");
  });
  // Veiled again before it leaves: browsers remember what fields of plain text were given.
  document.addEventListener("submit", (event) => {
    event.target.querySelectorAll("[data-reveal]").forEach((button) => unveil(button, false));
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss]")) event.target.closest(".toast")?.remove();
  });

  // Ctrl+Enter sends the form one is typing in.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
      event.target.form?.requestSubmit();
    }
  });

  // A second click must not send twice. Coming back by the browser's history finds the form open again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-submit-once]") || event.defaultPrevented) return;
    const button = event.submitter ?? form.querySelector("button[type=submit]");
    setTimeout(() => { if (button) button.disabled = true; }, 0);
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    document.querySelectorAll("[data-submit-once] button[type=submit]").forEach((button) => { button.disabled = false; });
  });

  // A picture dropped on, or pasted into, the place for it is as good as a chosen one.
  const give = (zone, files) => {
    // The place may be the field itself.
    const input = zone?.matches("input[type=file]") ? zone : zone?.querySelector("input[type=file]");
    if (!input || files.length === 0) return;
    input.files = files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const zone = event.target.closest?.("[data-drop]");
      if (!zone || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      zone.classList.toggle("is-over", kind === "dragover");
      if (kind === "drop") give(zone, event.dataTransfer.files);
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length > 0) give(document.querySelector("[data-drop]"), event.clipboardData.files);
  });

  // Leaving forms with changes asks first, also with those that came back unsaved. The one that is sent is saved by that,
  // and none beside it.
  const changed = new Set(document.querySelectorAll("[data-guard=unsaved]"));
  let sent = null;
  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (!form?.matches("[data-guard]")) return;
    changed.add(form);
    if (sent === form) sent = null;
  });
  // What a script sends leaves nothing.
  document.addEventListener("submit", (event) => { if (!event.defaultPrevented) sent = event.target; });
  window.addEventListener("beforeunload", (event) => {
    if (![...changed].some((form) => form !== sent && form.isConnected)) return;
    event.preventDefault();
    // Whoever stays has sent nothing, and can still send it.
    const kept = sent;
    sent = null;
    setTimeout(() => { kept?.querySelectorAll("button[type=submit]").forEach((button) => { button.disabled = false; }); }, 100);
  });

  // What asks once more before something is lost asks in a dialog; without script it opens in its place.
  const ask = (details, summary, form) => {
    const dialog = document.createElement("dialog");
    dialog.className = "dialog";
    const body = document.createElement("div");
    body.className = "dialog-body";
    const title = document.createElement("h2");
    title.id = "dialog-title";
    title.textContent = summary.textContent.trim();
    title.dir = "auto";
    dialog.setAttribute("aria-labelledby", title.id);
    const leave = document.createElement("button");
    Object.assign(leave, { type: "button", className: "button small", textContent: document.body.dataset.leave, autofocus: true });
    leave.addEventListener("click", () => dialog.close());
    // Beside it counts as leaving it.
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => {
      leave.remove();
      // The region may have been drawn anew meanwhile, with a form of its own.
      if (details.isConnected && !details.querySelector("form")) details.append(form);
      dialog.remove();
      summary.focus();
    });
    form.append(leave);
    body.append(title, form);
    dialog.append(body);
    document.getElementById("main").append(dialog);
    dialog.showModal();
  };
  document.addEventListener("click", (event) => {
    const summary = event.target.closest("details.confirm > summary");
    const form = summary?.parentElement.querySelector(":scope > form");
    if (!form) return;
    event.preventDefault();
    ask(summary.parentElement, summary, form);
  });

  // Two pictures over each other: the upper one is cut where the slider is.
  for (const overlay of document.querySelectorAll("[data-overlay]")) {
    const slider = overlay.querySelector("input[type=range]");
    const stage = overlay.querySelector(".overlay-stage");
    const cut = () => stage.style.setProperty("--share", `${slider.value}%`);
    slider.addEventListener("input", cut);
    stage.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && event.buttons === 0) return;
      const box = stage.getBoundingClientRect();
      slider.value = Math.round(100 * (event.clientX - box.left) / box.width);
      cut();
    });
    overlay.hidden = false;
    cut();
  }

  // A region that redraws itself forgets neither what was ticked in it nor what was opened.
  const ticked = new Set();
  const opened = new Set();
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-keep]")) return;
    if (event.target.checked) ticked.add(event.target.id); else ticked.delete(event.target.id);
  });
  document.addEventListener("toggle", (event) => {
    const details = event.target;
    if (!details.id || details.tagName !== "DETAILS") return;
    if (details.open) opened.add(details.id); else if (!swapping) opened.delete(details.id);
  }, true);
  let swapping = false;
  document.addEventListener("htmx:before:swap", () => { swapping = true; });
  document.addEventListener("htmx:after:swap", () => {
    document.querySelectorAll("[data-keep]").forEach((box) => { box.checked = ticked.has(box.id); });
    opened.forEach((id) => { const details = document.getElementById(id); if (details) details.open = true; });
    // The toggle event comes later than the change that it tells of.
    setTimeout(() => { swapping = false; }, 50);
    reveal(document);
  });
  reveal(document);
})();
