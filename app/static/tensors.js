/** The page of a model that is asked from a terminal: the whole command, with the address that this page came from. */

import { offerCopy, shellQuote } from "./terminal.js";

const curl = document.getElementById("curl");
const { action, body } = curl.dataset;
const sent = body ? `-H 'Content-Type: application/json' -d ${shellQuote(body)}` : "-F image=@photo.jpg";

curl.textContent = `curl ${sent} ${shellQuote(new URL(action, location.href).href)}`;
offerCopy(curl, document.getElementById("copy"), (text) => (document.getElementById("status").textContent = text));
document.documentElement.classList.add("js");
