// A button beside a field copies what stands in it; without this script the field is there to be selected by hand.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue; // only where the connection is trusted
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.lastChild.textContent = "Copied";
    } catch {
      button.lastChild.textContent = "Press Ctrl-C";
    }
  });
}
