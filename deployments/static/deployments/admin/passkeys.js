// Forms that a passkey signs: a new one is made, or the challenge (the digest of what is consented to) is signed.
const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));

async function create(form) {
  const made = await navigator.credentials.create({
    publicKey: {
      // nothing is signed here: a second person compares the key's fingerprint
      challenge: crypto.getRandomValues(new Uint8Array(32)),
      rp: { name: "CyTube Ops Portal" },
      user: { id: new TextEncoder().encode(form.dataset.person), name: form.dataset.person, displayName: form.dataset.person },
      pubKeyCredParams: [{ type: "public-key", alg: -7 }],
      // one that the browser finds by itself signs in without a name
      authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
      attestation: "none",
    },
  });
  form.elements.credential.value = made.id;
  form.elements.public_key.value = base64(made.response.getPublicKey());
}

async function sign(form) {
  const ids = form.dataset.credentials.split(" ").filter(Boolean); // none: the browser offers what it has
  const given = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(form.dataset.challenge),
      allowCredentials: ids.map((id) => ({ type: "public-key", id: bytes(id) })),
      userVerification: "required",
    },
  });
  if (form.elements.credential) form.elements.credential.value = given.id;
  const { authenticatorData, clientDataJSON, signature } = given.response;
  form.elements.signature.value = JSON.stringify({
    authenticatorData: base64(authenticatorData),
    clientDataJSON: base64(clientDataJSON),
    signature: base64(signature),
  });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    if (event.submitter?.hasAttribute("data-unsigned")) return; /* what is refused is not signed */
    event.preventDefault();
    form.querySelector("[data-refused]")?.remove();
    try {
      await (form.dataset.passkey === "create" ? create(form) : sign(form));
      if (event.submitter?.hasAttribute("formaction")) form.action = event.submitter.formAction;
      form.submit();
    } catch (refused) {
      const told = document.createElement("p");
      told.className = "cy-error";
      told.dataset.refused = "";
      told.setAttribute("role", "alert");
      told.textContent = `The passkey did not sign, and nothing was sent: ${refused.message}`;
      form.append(told);
    }
  });
  for (const button of form.querySelectorAll("button:disabled")) button.disabled = false; /* until now nobody had signed */
}
