// Elements in one call. Text always goes in as text, so nothing that a server sends becomes markup.

/** Makes `<name attributes>children</name>`; children are nodes, strings, or null for nothing. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** The words of a description, with its `code` marked as such; blank lines part paragraphs. */
export function prose(text, className = "") {
  return text.split(/\n\s*\n/).map((paragraph) => el("p", className ? { class: className } : {}, coded(paragraph)));
}

/** One line of such words. */
export const coded = (text) => text.split("`").map((part, place) => place % 2 ? el("code", {}, part) : part);

export const byId = (id) => document.getElementById(id);
