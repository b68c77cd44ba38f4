// The little that is done to the document everywhere. Text goes in as text, never as HTML.

export const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; what is null or false is left out. */
export function el(name, attributes = {}, ...children) {
  return built(document.createElement(name), attributes, children);
}

/** The same, of SVG. */
export function shape(name, attributes = {}, ...children) {
  return built(document.createElementNS(SVG, name), attributes, children);
}

function built(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The element of `root` that has this `data-slot`. */
export function slot(root, name) {
  return root.querySelector(`[data-slot="${name}"]`);
}

/** Put a text in, if it is another one: whoever reads or selects it is not disturbed. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Put texts into the slots of `root`. */
export function fill(root, texts) {
  for (const [name, text] of Object.entries(texts)) say(slot(root, name), text);
}

/** Make the children of `parent` those of `items`, keeping those that stay: focus and selection stay with them. */
export function keep(parent, items, key, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const name = String(key(item));
    const node = known.get(name) ?? create(item);
    known.delete(name);
    node.dataset.key = name;
    update(node, item);
    return node;
  });
  for (const node of known.values()) node.remove();
  wanted.forEach((node, at) => {
    if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null);
  });
}

/** Show why, or what came of it, where the action was. `kind`: "good", "bad" or "" while it is under way. */
export function answer(node, text, kind = "") {
  node.dataset.kind = kind;
  say(node, text);
}
