// What a test sees of a page that nobody should have to see: faint text, small targets, ids that are there twice,
// things that stick out. An expression; it comes to a list of faults.
(() => {
  const AA = 4.5;
  const AA_LARGE = 3;
  const LEAST_TARGET_PX = 24;

  function readColor(text) {
    const numbers = text.match(/-?[\d.]+/g).map(Number);
    const isFraction = text.startsWith("color(");
    const [r, g, b] = numbers.slice(0, 3).map((number) => (isFraction ? number : number / 255));
    return { r, g, b, a: numbers[3] ?? 1 };
  }

  function over(front, back) {
    const mix = (one, other) => one * front.a + other * (1 - front.a);
    return { r: mix(front.r, back.r), g: mix(front.g, back.g), b: mix(front.b, back.b), a: 1 };
  }

  function ground(element) {
    const layers = [];
    for (let node = element; node; node = node.parentElement) {
      const color = readColor(getComputedStyle(node).backgroundColor);
      layers.push(color);
      if (color.a === 1) break;
    }
    return layers.reverse().reduce((back, front) => over(front, back), { r: 1, g: 1, b: 1, a: 1 });
  }

  function luminance({ r, g, b }) {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  }

  function contrast(one, other) {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }

  const isSeen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const isUnseen = (element) => element.closest(".unseen, :disabled, [aria-hidden=true]:not(.icon)");
  const named = (element) => `${element.tagName.toLowerCase()}${element.id && `#${element.id}`}.${element.getAttribute("class") ?? ""}`;
  const faults = [];

  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const isDrawing = element.matches("svg.icon");
    if ((!hasText && !isDrawing) || !isSeen(element) || isUnseen(element)) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const isLarge = isDrawing || size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const back = ground(element);
    const ratio = contrast(over(readColor(style.color), back), back);
    if (ratio < (isLarge ? AA_LARGE : AA)) faults.push(`${named(element)} has a contrast of ${ratio.toFixed(2)}`);
  }

  for (const element of document.querySelectorAll("a, button, input, summary")) {
    if (!isSeen(element)) continue;
    const { width, height } = element.getBoundingClientRect();
    if (Math.min(width, height) < LEAST_TARGET_PX) faults.push(`${named(element)} is ${width} by ${height}`);
  }

  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) faults.push(`${id} is there twice`);

  for (const element of document.querySelectorAll("html, .scroller, .reader-scroller, .sign-in")) {
    if (element.scrollWidth > element.clientWidth) faults.push(`${named(element)} is wider than the window`);
  }
  return faults;
})()
