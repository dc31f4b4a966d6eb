function courseExplorer(name, version) {
  const root = document.getElementById(name);
  const figure = JSON.parse(document.getElementById(`${name}-figure`).textContent);

  // One plotly.js a page: the site's own copy, or else the version's public one.
  function load(addresses) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = addresses[0];
      script.onload = done;
      script.onerror = () => (addresses.length > 1 ? load(addresses.slice(1)).then(done, failed) : failed());
      document.head.append(script);
    });
  }
  const site = document.documentElement.dataset.content_root;
  const addresses = [`https://cdn.plot.ly/plotly-${version}.min.js`];
  if (site !== undefined) addresses.unshift(`${site}_static/plotly.min.js`);
  window.courseUtilsPlotly ??= window.Plotly ? Promise.resolve() : load(addresses);

  window.courseUtilsPlotly.then(() => {
    const part = (tag, kind) => {
      const node = document.createElement(tag);
      node.className = `course-${kind}`;
      root.insertBefore(node, root.querySelector(".course-held"));
      return node;
    };
    root.querySelector("img").remove();
    const nodes = {};
    for (const kind of ["title", "above", "plot", "note", "error"]) nodes[kind] = part(kind === "plot" ? "div" : "p", kind);
    const write = (texts) => {
      for (const kind of ["title", "above", "note", "error"]) nodes[kind].textContent = texts[kind];
      nodes.plot.setAttribute("aria-label", texts.alt);
    };
    nodes.plot.setAttribute("role", "img");
    write(figure.layout.meta);
    const config = { displayModeBar: false, doubleClick: false, responsive: true };
    const { data, layout, frames } = figure;
    Plotly.newPlot(nodes.plot, data, layout, config);

    // plotly's slider takes no keys: a native one does, seen only while it has the focus.
    const slider = layout.sliders[0];
    const keys = part("input", "keys");
    Object.assign(keys, { type: "range", min: 0, max: slider.steps.length - 1, step: 1, value: slider.active });
    keys.setAttribute("aria-label", slider.currentvalue.prefix.replace(/: $/, ""));
    const say = () => keys.setAttribute("aria-valuetext", slider.steps[keys.value].label);
    say();

    // Each stop is drawn whole, at most one for each frame of the screen: where a stop moves an axis, plotly's own
    // animation writes NaN into the places of the texts.
    let waiting = false;
    const draw = () => {
      waiting = false;
      const at = Number(keys.value);
      const now = { ...layout, ...frames[at].layout, sliders: [{ ...slider, active: at }] };
      write(now.meta);
      Plotly.react(nodes.plot, data.map((trace, n) => ({ ...trace, ...frames[at].data[n] })), now, config);
    };
    const moved = () => {
      say();
      if (!waiting) requestAnimationFrame(draw);
      waiting = true;
    };
    keys.addEventListener("input", moved);
    nodes.plot.on("plotly_sliderchange", ({ step }) => {
      if (Number(keys.value) === step._index) return;
      keys.value = step._index;
      moved();
    });
  }, () => {});
}
