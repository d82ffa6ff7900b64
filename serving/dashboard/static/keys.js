// The key of the API: asked for in a dialog, kept in this tab's session, sent as a header and nowhere else.

const STORED = "fx-assets-key";
const part = (id) => document.getElementById(id);

let asking = null;
let declined = false;

/** Headers of a request with the key, where there is one. */
export function authorization() {
  const key = sessionStorage.getItem(STORED);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Ask for a key once, however many requests want one; false where it was declined, until `again`. */
export function ask({ again = false } = {}) {
  if (again) declined = false;
  if (declined) return Promise.resolve(false);
  asking ??= dialog().finally(() => (asking = null));
  return asking;
}

function dialog() {
  const [box, form, input] = [part("key-dialog"), part("key-form"), part("key-input")];
  if (sessionStorage.getItem(STORED)) {
    part("key-reason").textContent = "The key was refused: it may have expired or been revoked. Enter another one.";
  }
  input.value = "";
  box.showModal();
  return new Promise((resolve) => {
    const close = (given) => {
      declined = !given;
      showForget();
      if (given) window.dispatchEvent(new Event("keychange"));
      resolve(given);
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(STORED, input.value.trim());
      box.onclose = null;
      box.close();
      close(true);
    };
    part("key-cancel").onclick = () => box.close();
    box.onclose = () => close(false);
  });
}

/** Offer to forget the key while there is one. */
export function showForget() {
  const button = part("forget");
  button.hidden = !sessionStorage.getItem(STORED);
  button.onclick = () => {
    sessionStorage.removeItem(STORED);
    location.reload();
  };
}
