// The page's half of browser.py. The address itself changes too: a reload, or a bookmark, keeps what was set.

// A slider reports every step; a sentence for each would talk over the one before.
const REST_MS = 900;

function part(el, tag, name, settings = {}) {
  const node = Object.assign(document.createElement(tag), settings);
  node.className = name;
  el.append(node);
  return node;
}

// ipywidgets gives a slider's handle neither its name nor its unit.
function nameSliders() {
  for (const slider of document.querySelectorAll(".widget-slider")) {
    const handle = slider.querySelector(".noUi-handle");
    const shown = slider.nextElementSibling?.textContent.trim();
    handle?.setAttribute("aria-label", slider.querySelector(".widget-label").textContent);
    if (shown && handle?.getAttribute("aria-valuetext") !== shown) handle?.setAttribute("aria-valuetext", shown);
  }
}

function render({ model, el }) {
  const lost = part(el, "p", "course-problem", { hidden: true });
  lost.setAttribute("role", "alert");
  const spoken = part(el, "p", "course-spoken");
  spoken.setAttribute("role", "status");
  const row = part(el, "div", "course-address");
  const field = part(row, "input", "", { readOnly: true });
  field.setAttribute("aria-label", "Link to this page as it is set now");
  const copy = part(row, "button", "", { type: "button", textContent: "Copy link" });

  const write = () => {
    const query = model.get("query");
    const address = location.pathname + (query ? `?${query}` : "");
    history.replaceState(null, "", address);
    field.value = location.origin + address;
  };
  copy.addEventListener("click", async () => {
    field.select();
    // Without leave to write, the text is selected: one key copies it.
    await navigator.clipboard?.writeText(field.value).then(
      () => { copy.textContent = "Copied"; },
      () => { copy.textContent = "Press Ctrl+C"; },
    );
    setTimeout(() => { copy.textContent = "Copy link"; }, 2000);
  });

  let resting;
  const say = () => {
    clearTimeout(resting);
    resting = setTimeout(() => { spoken.textContent = model.get("spoken"); }, REST_MS);
  };

  // Else the last figures would stay as if the controls still moved them.
  const kernel = model.widget_manager?.kernel;
  const status = (_, now) => {
    lost.hidden = now === "connected";
    lost.textContent = lost.hidden ? "" : "The connection to the server is lost: reload this page, your settings stay.";
  };
  kernel?.connectionStatusChanged.connect(status);

  // Text changes only: these are what a slider's readout is made of.
  const watch = new MutationObserver(nameSliders);
  watch.observe(document.body, { childList: true, subtree: true });
  nameSliders();
  write();
  model.on("change:query", write);
  model.on("change:spoken", say);
  return () => {
    watch.disconnect();
    clearTimeout(resting);
    kernel?.connectionStatusChanged.disconnect(status);
    model.off("change:query", write);
    model.off("change:spoken", say);
  };
}

export default { render };
