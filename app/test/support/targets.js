// biome-ignore-all lint/performance/useDomNodeTextContent: what is seen is what is meant here
// Runs in the page: every control that is smaller than a finger (44 by 44 pixels). Links in a line of
// text, and what is only seen once it has the focus, may be smaller.
() => {
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  const found = [];
  for (const element of document.querySelectorAll(controls)) {
    if (getComputedStyle(element).display === "inline" || element.className === "skip") continue;
    const { width, height } = element.getBoundingClientRect();
    if (width === 0 && height === 0) continue; // in closed details
    if (width < 44 || height < 44) {
      const name = element.labels?.[0]?.innerText ?? element.innerText;
      found.push(`${element.tagName.toLowerCase()} ${name}: ${width} x ${height}`);
    }
  }
  return found;
};
