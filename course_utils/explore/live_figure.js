// Draws the figure of live_figure.py. The kernel sends the whole figure; Plotly.react finds what changed.

// One plotly.js a page, whatever the number of figures.
function plotly(model) {
  globalThis.courseUtilsPlotly ??= load(model).catch((problem) => {
    delete globalThis.courseUtilsPlotly;
    throw problem;
  });
  return globalThis.courseUtilsPlotly;
}

async function load(model) {
  const id = model.get("_library").replace("IPY_MODEL_", "");
  const packed = (await model.widget_manager.get_model(id)).get("packed");
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(stream).text();
  // As a module, so that plotly.js finds neither a `define` nor a `module` of the page's.
  const text = `const module = {exports: {}}, exports = module.exports, define = undefined;
${source}
export default module.exports;`;
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

const ARRAYS = { float64: Float64Array, float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

// Numbers arrive as raw bytes; everything else as JSON. Fresh objects, because plotly.js writes into its own.
function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  if (value.buffer instanceof DataView) {
    const { buffer, byteOffset, byteLength } = value.buffer;
    return new ARRAYS[value.dtype](buffer.slice(byteOffset, byteOffset + byteLength));
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, unpack(one)]));
}

async function render({ model, el }) {
  const part = (tag, name) => {
    const node = document.createElement(tag);
    node.className = `course-${name}`;
    el.append(node);
    return node;
  };
  el.classList.add("course-explorer");
  const title = part("p", "title");
  const above = part("p", "above");
  const plot = part("div", "plot");
  const below = part("p", "below");
  const note = part("p", "note");
  const error = part("p", "error");
  plot.setAttribute("role", "img");
  error.setAttribute("role", "alert");

  const write = () => {
    const texts = model.get("_texts");
    for (const [name, node] of Object.entries({ title, above, below, note, error })) {
      const text = texts[name] ?? "";
      if (node.textContent !== text) node.textContent = text;
    }
    plot.setAttribute("aria-label", texts.alt ?? "");
  };
  write();
  model.on("change:_texts", write);

  const Plotly = await plotly(model);
  const config = { displayModeBar: false, doubleClick: false };
  const draw = () => Plotly.react(plot, unpack(model.get("_widget_data")), unpack(model.get("_widget_layout")), config);
  // Traces and layout change in one message: one redraw for both.
  let asked = false;
  const redraw = () => {
    if (asked) return;
    asked = true;
    queueMicrotask(() => {
      asked = false;
      draw();
    });
  };
  await draw();
  model.on("change:_widget_data", redraw);
  model.on("change:_widget_layout", redraw);

  // Also once at the start: a cell out of sight has no width when it is first drawn.
  const watch = new ResizeObserver(() => {
    if (plot.clientWidth && plot.clientWidth !== plot._fullLayout?.width) Plotly.Plots.resize(plot);
  });
  watch.observe(plot);
  return () => {
    watch.disconnect();
    model.off("change:_texts", write);
    model.off("change:_widget_data", redraw);
    model.off("change:_widget_layout", redraw);
    Plotly.purge(plot);
  };
}

export default { render };
