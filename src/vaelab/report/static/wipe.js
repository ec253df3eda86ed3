// Two pictures over each other, with a border between them that is dragged; several such pairs side by side share it.

// border: a range input. source: image or video that holds all pictures, each of size: {width, height, gap}, in pixels. pairs: gives
// {left, top} of the picture shown left of the border, {right, top} of the other, and the pair's place {x, y} on the canvas. Returns what draws anew.
function wipe(canvas, border, source, { width, height, gap = 0 }, pairs) {
  const ctx = canvas.getContext("2d");
  const draw = () => {
    const at = Math.round(width * border.value / border.max);
    for (const { left, right, top, x, y } of pairs()) {
      if (at > 0) ctx.drawImage(source, left, top, at, height, x, y, at, height);
      if (at < width) ctx.drawImage(source, right + at, top, width - at, height, x + at, y, width - at, height);
      ctx.fillStyle = "#fff";
      ctx.fillRect(x + at - 1, y, 2, height);
      ctx.fillStyle = "#000";
      ctx.fillRect(x + at + 1, y, 1, height);
    }
  };
  const drag = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = canvas.getBoundingClientRect();
    border.value = border.max * ((event.clientX - box.left) * canvas.width / box.width % (width + gap)) / width;
    draw();
  };
  border.oninput = draw;
  canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); drag(event); };
  canvas.onpointermove = drag;
  return draw;
}
