// A colour for each label. Colour never stands alone: each label is also written.

const USUAL = { sadness: 0, joy: 1, neutral: 2, fear: 3, disgust: 4, anger: 5, calm: 6, surprise: 7 };
const COLOURS = 8;
const places = new Map();

/** Give labels their colours. A label keeps its colour, whatever other labels come. */
export function setLabels(labels) {
  for (const label of labels) {
    if (places.has(label)) continue;
    const taken = new Set([...places.values(), ...labels.map((each) => USUAL[each])]);
    const free = Array.from({ length: COLOURS }, (_, place) => place).find((place) => !taken.has(place));
    places.set(label, USUAL[label] ?? free ?? places.size % COLOURS);
  }
}

/** The class of CSS that colours what belongs to a label; null is unknown. */
export function colourClass(label) {
  return label === null || !places.has(label) ? "unknown" : `colour${places.get(label)}`;
}

/** The colour itself, for a canvas. */
export function colourOf(label, styles) {
  return styles.getPropertyValue(`--${colourClass(label)}`).trim();
}

/** How a label is written; null is unknown. */
export function nameOf(label) {
  return label === null ? "unknown" : label;
}
