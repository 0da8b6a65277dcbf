/** What a drop holds that brings no file: pictures that another page has inside itself, as data: URLs. */

const PICTURE = /^data:image\/([\w.+-]+)(?:;[^,;]*)*;base64,(.*)$/is;

/** The picture of a data: URL as a file; null where it is none. */
function decoded(url) {
  const [, kind, text] = PICTURE.exec(url) ?? [];
  if (!kind) return null;
  try {
    const bytes = Uint8Array.from(atob(decodeURIComponent(text)), (letter) => letter.charCodeAt(0));
    return new File([bytes], `picture.${kind}`, { type: `image/${kind}` });
  } catch {
    return null; // no base64 after all
  }
}

/** The first picture that is dragged with its bytes; null where there are only addresses, which this page may not fetch. */
export function pictureIn(transfer) {
  const links = transfer.getData("text/uri-list").split(/\r?\n/);
  const dragged = new DOMParser().parseFromString(transfer.getData("text/html"), "text/html");
  const images = [...dragged.images].map((image) => image.getAttribute("src") ?? "");
  return [...links, ...images].map(decoded).find(Boolean) ?? null;
}
