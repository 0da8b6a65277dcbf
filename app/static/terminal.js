/** A command line on a page: its quoting, and the button that copies it. */

/** One word for a POSIX shell. */
export function shellQuote(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Copy without the clipboard API, which browsers keep from pages that came over plain HTTP. */
function copySelection(node) {
  getSelection().selectAllChildren(node);
  const copied = document.execCommand("copy");
  if (copied) getSelection().removeAllRanges();
  return copied; // where not, the line stays selected for the person's own copy key
}

/** Make a button copy what a node says. announce: tells people who do not see the button change. */
export function offerCopy(node, button, announce) {
  let timer;
  button.addEventListener("click", async () => {
    let copied = false;
    try {
      await navigator.clipboard.writeText(node.textContent);
      copied = true;
    } catch {
      copied = copySelection(node);
    }
    button.textContent = copied ? "Copied" : "Selected";
    announce(copied ? "Copied the command" : "The command is selected: copy it with your copy key");
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}
