// What the link ends in goes into the form and out of the address: it stays in no history and is sent in the body alone.
const form = document.querySelector("form[data-invitation]");
const token = location.hash.slice(1);
if (token) {
  form.elements.token.value = token;
  history.replaceState(null, "", location.pathname);
}
if (form.elements.token.value) {
  form.hidden = false;
} else {
  document.querySelector("[data-incomplete]").hidden = false;
}
