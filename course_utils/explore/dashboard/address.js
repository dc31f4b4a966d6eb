// The link of dashboard/address.py. The address itself changes too: a reload, or a bookmark, keeps what was set.

function render({ model, el }) {
  const field = document.createElement("input");
  const copy = document.createElement("button");
  el.classList.add("course-address");
  field.readOnly = true;
  field.setAttribute("aria-label", "Link to this page as it is set now");
  copy.type = "button";
  copy.textContent = "Copy link";
  el.append(field, copy);

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
  write();
  model.on("change:query", write);
  return () => model.off("change:query", write);
}

export default { render };
