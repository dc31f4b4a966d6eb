// The page's half of upload_button.py: the browser's own file field under a button's look.

function render({ model, el }) {
  const field = document.createElement("input");
  const label = document.createElement("label");
  field.type = "file";
  field.accept = model.get("accept");
  label.className = "course-upload";
  label.append(field, model.get("label"));
  el.append(label);

  const send = async (file) => {
    const told = { name: file.name, bytes: file.size };
    const content = file.size > model.get("most_bytes") ? [] : [await file.arrayBuffer()];
    model.send(told, undefined, content);
    // Else the same file, corrected, would be no change.
    field.value = "";
  };
  field.addEventListener("change", () => field.files.length && send(field.files[0]));
  label.addEventListener("dragover", (event) => event.preventDefault());
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}

export default { render };
