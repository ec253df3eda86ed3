"use strict";
// Copies what stands beside a button.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action=copy]");
  if (button) copyBlock(button);
});
