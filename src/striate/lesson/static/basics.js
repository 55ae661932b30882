// What every script with a page needs, and nothing of what a page holds: elements, and numbers for reading.

// An element with properties and children; texts are never read as markup.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Writes a text where it is not there yet: the same text again costs a layout of the page.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A number for reading: at most two decimals, three digits for small ones, a true minus.
function shown(value) {
  const size = Math.abs(value);
  let text = size >= 1000 ? value.toFixed(0) : size >= 100 ? value.toFixed(1) : value.toFixed(2);
  if (size > 0 && size < 0.095) text = size < 0.0005 ? "0" : value.toFixed(3);
  if (text.includes(".")) text = text.replace(/\.?0+$/, "");
  return (text === "-0" ? "0" : text).replace("-", "−");
}

function percent(share) {
  if (share > 0.9995 && share < 1) return "> 99.9 %";
  return share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function decodeBytes(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// At most one call a frame, however often it is asked for.
function oncePerFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}
