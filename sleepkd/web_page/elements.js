/** A new element with these properties, appended to a parent if there is one. */
export function make(tag, properties = {}, parent = null) {
  const element = Object.assign(document.createElement(tag), properties);
  parent?.append(element);
  return element;
}
